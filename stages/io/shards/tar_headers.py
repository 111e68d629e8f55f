"""The headers of a tar: each is proved to lie in the file with all of its data; keys that are scattered are found."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, cast

from schemas.errors import InputError
from stages.io.shards.sample import key_and_field, key_hash, same_key

HEADER_LIMIT = 2**20
"""Largest extended header (long names, PAX), in bytes; a larger one is an attack on memory."""

_MALFORMED = (tarfile.TarError, ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError)

_PLAIN = re.compile(
    rb"(?P<name>[^\0]{1,100})\0*(?<=^.{100})"  # the whole field, 100 bytes
    rb"[0-7 \0]{24}(?P<size>[0-7]{11})[ \0][0-7 \0]{12}(?P<sum>[0-7]{6})(?:\0 | \0)0\0{100}"
    rb"ustar(?:\x0000|  \0).{80}\0{167}",
    re.DOTALL,
)
"""A header of USTAR or GNU tar: name, mode, uid, gid, size, time, checksum, type `0`, no link, any names of user and
group, no prefix."""

_OTHER_FORMATS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}


class _HeaderFile:
    """The file as tarfile sees it: headers only, so that no size which a header claims is ever allocated."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= HEADER_LIMIT:
            raise tarfile.ReadError(f"an extended header claims {size} bytes")
        return self.file.read(size)


class TarHeaders:
    """Iterates over every header of an archive, each time from its start.

    Args:
        file: the shard, open for reading; whoever iterates may seek in it.
        name: the shard's name, for messages.

    Raises:
        InputError: while iterating: the file is no plain tar, is cut short, or goes on after its end.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file = file
        self.name = name
        self.size = os.fstat(file.fileno()).st_size
        self.last: str | None = None
        """The key before the one whose members were seen last, for messages."""

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        self.file.seek(0)
        files = cast(IO[bytes], _HeaderFile(self.file))
        try:
            archive = tarfile.open(fileobj=files, mode="r:", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        except _MALFORMED as error:
            raise self._not_a_tar(error) from error
        offset, key = -1, None
        while True:
            try:
                entry = self._plain(archive) or archive.next()
            except _MALFORMED as error:
                raise self.broken(archive.offset, f"a header or data cannot be read ({error})") from error
            if entry is None:
                break
            # tarfile keeps every header that it ever saw; a shard may have millions.
            archive.members.clear()  # type: ignore[attr-defined]
            stored = entry.size if entry.isreg() and not entry.issparse() else 0
            if entry.size < 0 or archive.offset <= offset:
                raise self.broken(entry.offset, f"the header of {entry.name!r} claims {entry.size} bytes")
            if entry.offset_data + stored > self.size:
                raise self.broken(self.size, f"the file ends inside {entry.name!r}, which has {entry.size} bytes")
            offset = archive.offset
            parts = key_and_field(entry.name)
            if parts is not None and parts[0] != key:
                self.last, key = key, parts[0]
            yield entry
        self._check_end(archive.offset)

    def _plain(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next header where it is as plain as nearly all are, in a tenth of the time that `archive.next` takes.

        None, and nothing has changed: it is not an ordinary file with a short name and an octal size, or its checksum
        is wrong, or a global header describes all. The first header is one that tarfile has read already.
        """
        if archive.pax_headers or archive.firstmember is not None:  # type: ignore[attr-defined]
            return None
        offset = archive.offset
        self.file.seek(offset)
        block = self.file.read(tarfile.BLOCKSIZE)
        found = _PLAIN.fullmatch(block)
        if found is None or sum(block) - sum(block[148:156]) + 8 * ord(" ") != int(found["sum"], 8):
            return None
        entry = tarfile.TarInfo(found["name"].decode("utf-8", "surrogateescape"))
        if entry.name.endswith("/"):  # a directory, in old archives
            return None
        entry.size = int(found["size"], 8)
        entry.offset, entry.offset_data = offset, offset + tarfile.BLOCKSIZE
        archive.offset = entry.offset_data + -(-entry.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        return entry

    def broken(self, offset: int, found: str) -> InputError:
        """The error of a damaged archive: names the byte and the last key that was whole."""
        last = "no key was whole before it" if self.last is None else f"the last whole key is {self.last!r}"
        problem = f"damaged at byte {offset} of {self.size}: {found}; {last}; fetch it again"
        return InputError(printable(problem), shard=self.name)

    def _check_end(self, offset: int) -> None:
        """tarfile takes a broken header, or none, for the end: only zeros may follow, up to the end of the file."""
        self.file.seek(offset)
        block = self.file.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE:
            raise self.broken(offset, "the file ends without an end-of-archive block")
        if any(block):
            raise self.broken(offset, "a header is damaged")
        position = offset + len(block)
        while block := self.file.read(2**16):
            if any(block):
                raise self.broken(position, "data follows the end of the archive (several tars in one file?)")
            position += len(block)

    def _not_a_tar(self, error: Exception) -> InputError:
        self.file.seek(0)
        start = self.file.read(8)
        for magic, kind in _OTHER_FORMATS.items():
            if start.startswith(magic):
                problem = f"not a plain tar but {kind} at byte 0, so no key was read; unpack it to .tar"
                return InputError(problem, shard=self.name)
        return self.broken(0, f"this is no tar file ({error})")


def printable(text: str) -> str:
    """The text with what is not UTF-8 written as escapes, so that it can be stored."""
    return text.encode("utf-8", "backslashreplace").decode()


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

    A sample is left out when other keys stand between its members (`unsorted-key`), or when a field comes twice
    (`duplicate-key`). It is also left out when its members spell its key in capitals and in small letters
    (`unsorted-key`). Two keys that differ in case alone are two samples where they have a field in common. Memory holds
    8 bytes' hash of each key, and the fields of those that are in doubt.

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
