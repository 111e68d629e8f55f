"""Which keys of a tar do not stand together: such a sample is left out whole, before any of its members is read."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from stages.io.shards.names import key_and_field, key_hash, same_key

Problem = tuple[str, str]
"""Reason and message."""

SORT = (
    "mkdir x && tar -xf {shard} -C x && "
    "(cd x && find . -type f | cut -c3- | LC_ALL=C sort | tar -cf ../sorted.tar -T -)"
)
"""Commands that write a sorted copy of a tar, with the names of its members unchanged."""


@dataclass(slots=True)
class _Spelling:
    """What the headers say of one key, as it is spelled."""

    runs: int = 0
    """Places where its members stand."""
    fields: set[str] = field(default_factory=set)
    repeated: str | None = None
    """A field that it has twice."""


def apart(headers: Iterable[tarfile.TarInfo], shard: str) -> dict[bytes, Problem | None]:
    """Hash of each key that must be left out (`same_key`) → why; None where another spelling of it says so.

    A sample is left out when other keys stand between its members (`unsorted-key`), when a field comes twice
    (`duplicate-key`), or when its members spell its key in capitals and in small letters (`unsorted-key`). Two keys
    that differ in case alone are two samples where they have a field in common. Memory holds 8 bytes' hash of each key,
    and the fields of those that are in doubt.

    Args:
        headers: of the archive; read once, and once more when a key is in doubt.
        shard: the shard's name, for the message.
    """
    doubtful = _doubtful(headers)
    spellings: dict[bytes, dict[str, _Spelling]] = {}
    key = ""
    for entry in headers if doubtful else ():
        parts = None if entry.isdir() else key_and_field(entry.name)
        if parts is None:
            continue
        before, key = key, same_key(parts[0])
        folded = key_hash(key.casefold())
        if folded in doubtful:
            found = spellings.setdefault(folded, {}).setdefault(key, _Spelling())
            found.runs += key != before
            found.repeated = found.repeated or (entry.name if parts[1] in found.fields else None)
            found.fields.add(parts[1])
    return {
        key_hash(key): problem
        for each in spellings.values()
        for key, problem in _problems(each, shard.rpartition("/")[2]).items()
    }


def _doubtful(headers: Iterable[tarfile.TarInfo]) -> set[bytes]:
    """Hashes of keys, in small letters, that stand in several places or have a field twice."""
    seen: set[bytes] = set()
    doubtful: set[bytes] = set()
    key, folded = "", b""
    fields: set[str] = set()
    for entry in headers:
        parts = None if entry.isdir() else key_and_field(entry.name)
        if parts is None:
            continue
        before, key = key, same_key(parts[0])
        if key != before:
            folded = key_hash(key.casefold())
            fields.clear()
        if (key != before and folded in seen) or parts[1] in fields:
            doubtful.add(folded)
        seen.add(folded)
        fields.add(parts[1])
    return doubtful


def _problems(spellings: dict[str, _Spelling], shard: str) -> dict[str, Problem | None]:
    """Key → why it is left out, of keys that are the same in small letters."""
    fields = [found.fields for found in spellings.values()]
    if len(fields) > 1 and sum(map(len, fields)) == len(set().union(*fields)):
        names = ", ".join(repr(key) for key in spellings)
        why = f"its members spell its key in several ways ({names}), so its label may stand apart; spell them alike"
        first, *others = spellings
        return {first: ("unsorted-key", why), **dict.fromkeys(others)}
    return {key: problem for key, found in spellings.items() if (problem := _problem(found, shard)) is not None}


def _problem(found: _Spelling, shard: str) -> Problem | None:
    if found.repeated is not None:
        return (
            "duplicate-key",
            f"member {found.repeated!r} stands twice in the shard; rename one of them, or take it out",
        )
    if found.runs > 1:
        why = f"its members stand in {found.runs} places of the shard, with other samples between them"
        return "unsorted-key", f"{why}; sort the tar by name: {SORT.format(shard=shard)}"
    return None
