"""The ledger: one small object per published shard, written after everything else about it is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.state.record_index import RecordIndex
from schemas.model import fingerprint
from schemas.plans import ProtectPlan
from schemas.records import ShardRecord, ShardRef
from stages.io.store.objects import Entry
from stages.io.store.store import Store

FOLDER = "ledger/"


def identity_of(ref: ShardRef, plan: ProtectPlan) -> str:
    """Hash of everything that decides a protected shard's bytes."""
    return fingerprint([ref.name, ref.size, ref.etag, plan.fingerprint])


def _shard_of(name: str) -> str:
    """The output shard's name in that of a record, `ledger/<shard>.<identity>.json`."""
    return name.removeprefix(FOLDER).rpartition(".")[0].rpartition(".")[0]


class Ledger:
    """The records of one `work` prefix.

    The name of a record holds the shard's name and identity, so one listing shows which shards are done. The listing is
    taken at the first question. Their contents are folded into one object (`RecordIndex`).
    """

    def __init__(self, work: Store) -> None:
        self.index = RecordIndex(work, FOLDER, ShardRecord, "remove it, and its shard is protected again")

    def identities(self) -> dict[str, str]:
        """Identity → object name, as the store lists them now."""
        return _identities(self.index.refresh())

    def shards(self) -> set[str]:
        """Output shards that have a record."""
        return set(map(_shard_of, self.index.entries))

    def of_shards(self, shards: set[str]) -> dict[str, list[str]]:
        """Output shard → the object names of its records."""
        found: dict[str, list[str]] = {shard: [] for shard in shards}
        for name in self.index.entries:
            if (shard := _shard_of(name)) in found:
                found[shard].append(name)
        return found

    def records(self) -> list[ShardRecord]:
        """All of them, those of former states too.

        Raises:
            ValidationError: one of them cannot be read; so do the others that read records.
        """
        return self.index.read(sorted(self.index.entries))

    def add(self, record: ShardRecord, stale: Sequence[str] = ()) -> None:
        """Write a record: from now on the shard counts as published.

        Args:
            stale: records of the shard that were removed before its bytes were replaced.
        """
        self.index.add(f"{FOLDER}{record.name}.{record.identity}.json", record)
        self.index.drop(stale)

    def forget(self, shards: set[str]) -> None:
        """Remove every record of these output shards."""
        self.index.remove(name for names in self.of_shards(shards).values() for name in names)

    def last_good(self, shards: set[str], bound: int, published: list[Entry]) -> list[ShardRecord]:
        """Records of what lies there of these output shards, whatever input and generator it was made from.

        Args:
            bound: B; what was protected under a larger one is not vouched for.
            published: the listing of `output`.
        """
        if not shards:
            return []
        self.index.refresh()  # a worker that failed may have removed a record before it replaced its shard
        sizes = {entry.name: entry.size for entry in published}
        names = sorted(records[0] for records in self.of_shards(shards).values() if len(records) == 1)
        return [
            record
            for record in self.index.read(names)
            if sizes.get(record.name) == record.bytes and record.max_delta <= bound
        ]

    def done(self, shards: list[ShardRef], plan: ProtectPlan, published: list[Entry]) -> list[ShardRecord]:
        """Records of the shards that need no work: recorded under their identity, and there with the recorded size.

        Args:
            published: the listing of `output`.
        """
        known = _identities(self.index.entries)
        wanted = [identity_of(ref, plan) for ref in shards]
        sizes = {entry.name: entry.size for entry in published}
        records = self.index.read([known[identity] for identity in wanted if identity in known])
        return [record for record in records if sizes.get(record.name) == record.bytes]

    def save(self) -> None:
        """Fold the records for the next run."""
        self.index.save()


def _identities(names: Iterable[str]) -> dict[str, str]:
    return {name.rpartition(".")[0].rpartition(".")[2]: name for name in names}
