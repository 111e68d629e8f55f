"""What this `work` wrote into `output`: how a run tells its own files from those that somebody else put there.

A shard is known by its record in the ledger, or by its name among those that a run has begun. A file beside the shards
is known by its checksum, which is recorded before the file is written. Whatever else lies in `output` is a stranger:
one that may be data ends a run before it trains, and strangers are never replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic import Field

from pipeline.state.ledger import Ledger
from pipeline.state.owner import is_mine
from pipeline.state.places import Places
from schemas.errors import ConfigError, InputError
from schemas.records import Record
from stages.io.store.objects import Entry
from stages.io.store.records import read_record
from stages.io.store.store import Store
from stages.publish.manifest import read_manifest
from stages.publish.public_files import CARD, PUBLIC, README, UPDATING, is_update, possible_data

WRITTEN = "written.json"


class Written(Record):
    """What a `work` wrote, or was about to write, into its `output`, besides what the ledger tells."""

    format: str = "mtlue-written-1"
    shards: list[str] = Field(default_factory=list)
    """Shards that a run has begun and not recorded, and those of a `work` that was taken over; sorted."""
    files: dict[str, list[str]] = Field(default_factory=dict)
    """Public file beside the shards → SHA-256 of what was written under its name: the last two states."""


@dataclass(frozen=True)
class Strangers:
    """What lies in `output` and is not of this `work`."""

    data: list[str]
    """Files that may be data: unprotected images, shards, archives, unknown bytes."""
    files: list[str]
    """Files with the name of one that would be published; the owner's README.md apart."""
    readme: bool = False
    """Whether README.md is the owner's: the card is published as CARD.md then."""
    listed: bool = False
    """Whether a manifest of mtlue lists some of the data: another `work` has published it."""

    def problems(self, output: Store) -> list[str]:
        """What is wrong, and what to do, a sentence each; none when a run may go on."""
        problems = []
        if self.data:
            problems.append(
                f"output ({output.url}) has {_named(self.data)} that this `work` did not write: they may be "
                "unprotected data, and all in `output` is public. Move them away, or give another `output`"
            )
            if self.listed:
                problems[0] += "; if another `work` of yours published them, --take-over makes them this run's"
        if self.files:
            problems.append(
                f"output ({output.url}) has {_named(self.files)} that this `work` did not write, and a run would "
                "replace; move it away, or give another `output`"
            )
        return problems


def strangers(places: Places, ledger: Ledger, found: Sequence[Entry], *, take_over: bool = False) -> Strangers:
    """What of a listing of `output` is not of this `work`; changes nothing.

    Args:
        take_over: what another `work` has published there counts as this one's.
    """
    known = _known(places, ledger, found, take_over=take_over)
    names = {entry.name for entry in found}
    foreign = [name for name in PUBLIC if name in names and not _is_known(places.output, name, known)]
    data = possible_data(places.output, found, known.shards)
    return Strangers(
        data=data,
        files=[name for name in foreign if name != README],
        readme=README in foreign,
        listed=bool(data) and not _listed(places.output, found).isdisjoint(data),
    )


def refuse_strangers(places: Places, ledger: Ledger, found: Sequence[Entry], *, take_over: bool = False) -> Strangers:
    """What of a listing of `output` is not of this `work`, once it is sure that none of it is in the way.

    Raises:
        ConfigError: there may be data among it, or a run would replace it.
    """
    there = strangers(places, ledger, found, take_over=take_over)
    if problems := there.problems(places.output):
        raise ConfigError("\n".join(problems))
    return there


def adopt(places: Places, ledger: Ledger, *, take_over: bool) -> None:
    """Remember what is this work's own in `output`, before the output is claimed."""
    if is_mine(places) and places.work.stat(WRITTEN) is not None:
        return
    found = places.output.list()
    known = _known(places, ledger, found, take_over=take_over)
    unrecorded = set(known.shards) - ledger.shards()
    _remember(places.work, known.model_copy(update={"shards": sorted(unrecorded)}))


def begin_shards(work: Store, names: Collection[str]) -> None:
    """Remember shards before the first of them is written: a run that is killed may leave them without a record."""
    written = read_written(work)
    if not set(names) <= set(written.shards):
        _remember(work, written.model_copy(update={"shards": sorted({*written.shards, *names})}))


def end_shards(work: Store, names: Collection[str]) -> None:
    """Forget shards that have a record by now, or that are gone."""
    written = read_written(work)
    if left := set(written.shards) & set(names):
        _remember(work, written.model_copy(update={"shards": sorted(set(written.shards) - left)}))


def card_name(places: Places, card: bytes) -> str:
    """Where the dataset card goes: README.md, unless the one that is there is the owner's."""
    if places.output.stat(README) is None or places.output.read(README) == card:
        return README
    return README if _is_known(places.output, README, read_written(places.work)) else CARD


def changed_files(places: Places, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of some public files that are not there as they should be, after their checksums are recorded.

    Raises:
        ConfigError: one of them would replace a file that this `work` did not write.
    """
    written = read_written(places.work)
    known, changed, foreign = dict(written.files), {}, []
    for name, data in files.items():
        there = _checksum(places.output, name)
        if there == hashlib.sha256(data).hexdigest():
            known[name] = known[name] if there in known.get(name, []) else [there]
            continue
        if there and there not in known.get(name, []):
            foreign.append(name)
        known[name] = [*([there] if there else []), hashlib.sha256(data).hexdigest()]
        changed[name] = data
    if problems := Strangers(data=[], files=foreign).problems(places.output):
        raise ConfigError(problems[0])
    if known != written.files:
        _remember(places.work, written.model_copy(update={"files": known}))
    return changed


def drop_second_card(places: Places) -> None:
    """Remove a card under its second name when the first one is the card again."""
    if places.output.stat(CARD) is not None and _is_known(places.output, CARD, read_written(places.work)):
        places.output.delete(CARD)


def read_written(work: Store) -> Written:
    """What was remembered; nothing when there is no record."""
    if work.stat(WRITTEN) is None:
        return Written()
    return read_record(work, WRITTEN, Written, "remove it, and run with --take-over")


def _remember(work: Store, written: Written) -> None:
    work.write(WRITTEN, written.model_dump_json(indent=1).encode())


def _known(places: Places, ledger: Ledger, found: Sequence[Entry], *, take_over: bool) -> Written:
    """All that is this work's own in `output`: its shards, those of the ledger among them, and its files' checksums."""
    written = read_written(places.work)
    if is_mine(places):
        if places.work.stat(WRITTEN) is None:  # the mark of a version of mtlue that kept no record
            written = _as_they_are(places.output, found)
        # A record that cannot be read may be removed, so what the manifest lists is known as well.
        known = {*written.shards, *ledger.shards(), *_listed(places.output, found)}
        return written.model_copy(update={"shards": sorted(known)})
    # This `work` may have published elsewhere: only what is as its ledger says was brought here from there.
    sizes = {record.name: record.bytes for record in ledger.records()}
    shards = {entry.name for entry in found if sizes.get(entry.name) == entry.size}
    if take_over:
        written = _as_they_are(places.output, found)
        shards |= _listed(places.output, found)
    return written.model_copy(update={"shards": sorted(shards)})


def _as_they_are(output: Store, found: Sequence[Entry]) -> Written:
    names = {entry.name for entry in found} & set(PUBLIC)
    return Written(files={name: [_checksum(output, name)] for name in sorted(names)})


def _listed(output: Store, found: Sequence[Entry]) -> set[str]:
    """Names of what lies there as a manifest of mtlue lists it, by its size."""
    sizes = {entry.name: entry.size for entry in found}
    with suppress(InputError):  # no manifest, or one of another tool
        return {shard.name for shard in read_manifest(output).shards if sizes.get(shard.name) == shard.bytes}
    return set()


def _is_known(output: Store, name: str, known: Written) -> bool:
    if name == UPDATING:
        return is_update(output)
    return _checksum(output, name) in known.files.get(name, [])


def _checksum(output: Store, name: str) -> str:
    """SHA-256 of a public file; empty when there is none."""
    return "" if output.stat(name) is None else hashlib.sha256(output.read(name)).hexdigest()


def _named(names: Sequence[str]) -> str:
    first = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"{len(names)} file{'' if len(names) == 1 else 's'} ({first})"
