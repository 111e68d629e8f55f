"""What is left of data that is no input any more: reported while it is public, never kept in the private place."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.state.ledger import Ledger
from pipeline.state.places import Places, shard_state
from pipeline.state.written import end_shards, read_written
from schemas.records import ShardProfile
from stages.io.store.objects import Entry
from stages.io.store.store import Store


def withdrawn_shards(
    places: Places, ledger: Ledger, profiles: Sequence[ShardProfile], published: Sequence[Entry]
) -> list[str]:
    """Shards that mtlue has published, that still lie there, and whose input is gone or has no sample any more.

    Those of a `work` that this one took over are among them.
    """
    empty = {profile.name for profile in profiles if not profile.samples}
    planned = {ref.output_name for ref in places.shards if ref.name not in empty}
    known = ledger.shards() | set(read_written(places.work).shards)
    return sorted(known & {entry.name for entry in published} - planned)


def prune(places: Places, ledger: Ledger, names: Sequence[str]) -> None:
    """Remove published shards; their records last, so that a run that is broken off finds them again."""
    delete_all(places.output, names)
    ledger.forget(set(names))
    end_shards(places.work, names)


def collect_private(places: Places) -> None:
    """Remove tables and profiles that belong to no present shard: pictures that were withdrawn, former states.

    Profiles go first: one without its table would be believed.
    """
    present = {shard_state(ref) for ref in [*places.shards, *places.test_shards]}
    for folder in ("profiles/", "tables/"):
        names = [entry.name for entry in places.work.list(folder)]
        stale = [name for name in names if name.removeprefix(folder).rpartition("-")[0] not in present]
        delete_all(places.work, stale)


def delete_all(store: Store, names: Sequence[str]) -> None:
    """Remove objects, several at a time."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(store.delete, names))
