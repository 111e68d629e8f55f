"""WebDataset tar shards: a strict streaming reader and a deterministic writer."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from schemas.errors import InputError, SampleError
from schemas.records import Quarantined
from stages.io.shards.names import key_hash, unsafe_name
from stages.io.shards.sample import Member, Sample

MEMBER_LIMIT = 2 * 2**30
"""Largest member, and largest sum of a sample's members, that is read into memory: 2 GiB."""

HEADER_LIMIT = 2**20
"""Largest extended header (long names, PAX), in bytes; a larger one is an attack on memory."""

_MALFORMED = (tarfile.TarError, ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError)

_OTHER_FORMATS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}


def read_tar(path: Path, name: str) -> Iterator[Sample | Quarantined]:
    """Stream the samples of an uncompressed tar; memory holds one sample and 8 bytes' hash of each key.

    Directories and members whose basename is `__…__` are passed by. A sample is quarantined whole: `unsafe-name`
    (a link, device or sparse file; an absolute name, `..`, NUL, backslash, not UTF-8), `no-field` (no dot with a name
    on both sides in the basename), `duplicate-key` (a field or the whole key again: the first occurrence is kept),
    `member-too-large` (over 2 GiB).

    Args:
        path: the shard on the local disk.
        name: the shard's name for messages and records.

    Raises:
        InputError: the file is no plain tar, is cut short anywhere (in a header, in data, before the end-of-archive
            block), or goes on after its end; names shard, byte offset and the last key that was whole.
    """
    with path.open("rb") as file:
        yield from _Reader(file, name).samples()


@dataclass(slots=True)
class _Group:
    """The members of one key, as far as they were read."""

    key: str
    problem: tuple[str, str] | None = None
    members: list[Member] = field(default_factory=list)
    size: int = 0

    def quarantine(self, reason: str, message: str) -> None:
        self.problem = self.problem or (reason, message)
        self.members.clear()


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


class _Reader:
    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file = file
        self.name = name
        self.size = os.fstat(file.fileno()).st_size
        self.seen: set[bytes] = set()
        self.last: str | None = None

    def samples(self) -> Iterator[Sample | Quarantined]:
        group: _Group | None = None
        for entry in self.entries():
            basename = entry.name.rpartition("/")[2]
            if entry.isdir() or (len(basename) > 4 and basename.startswith("__") and basename.endswith("__")):
                continue
            key, name = _split(entry.name)
            again = group is not None and any(member.field == name for member in group.members)
            if group is None or group.key != key or again:
                if group is not None:
                    yield self.finish(group)
                group = self.start(key)
            self.add(group, entry, name)
        if group is not None:
            yield self.finish(group)

    def start(self, key: str) -> _Group:
        digest = key_hash(key)
        group = _Group(key)
        if digest in self.seen:
            group.quarantine("duplicate-key", "the key stands twice in the shard; the first was kept: rename this one")
        self.seen.add(digest)
        return group

    def add(self, group: _Group, entry: tarfile.TarInfo, name: str) -> None:
        group.size += entry.size
        unsafe = unsafe_name(entry.name)
        if not entry.isreg() or entry.issparse():
            group.quarantine("unsafe-name", f"member {entry.name!r} is no ordinary file (link, device or sparse file)")
        elif unsafe is not None:
            group.quarantine("unsafe-name", f"member {entry.name!r} {unsafe}; rename it")
        elif not name:
            group.quarantine("no-field", f"member {entry.name!r} is not named <key>.<field>; rename it or take it out")
        elif group.size > MEMBER_LIMIT:
            found = f"member {entry.name!r} has {entry.size} bytes, its sample over {MEMBER_LIMIT}"
            group.quarantine("member-too-large", f"{found}; split it, or take it out")
        elif group.problem is None:
            self.file.seek(entry.offset_data)
            data = self.file.read(entry.size)
            if len(data) != entry.size:
                raise self.broken(entry.offset_data + len(data), f"the data of {entry.name!r} ends early")
            group.members.append(Member(name, data))

    def finish(self, group: _Group) -> Sample | Quarantined:
        self.last = group.key
        if group.problem is None:
            return Sample(group.key, tuple(group.members))
        reason, message = group.problem
        error = SampleError(reason, _printable(message))
        return Quarantined.of(error, shard=self.name, key=_printable(group.key))

    def entries(self) -> Iterator[tarfile.TarInfo]:
        """Every header of the archive, each proved to lie in the file with all of its data."""
        files = cast(IO[bytes], _HeaderFile(self.file))
        try:
            archive = tarfile.open(fileobj=files, mode="r:", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        except _MALFORMED as error:
            raise self.not_a_tar(error) from error
        offset = -1
        while True:
            try:
                entry = archive.next()
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
            yield entry
        self.check_end(archive.offset)

    def check_end(self, offset: int) -> None:
        """tarfile takes a broken header, or none, for the end: hold out for zeros up to the end of the file."""
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

    def broken(self, offset: int, found: str) -> InputError:
        last = "no key was whole before it" if self.last is None else f"the last whole key is {self.last!r}"
        problem = f"damaged at byte {offset} of {self.size}: {found}; {last}; fetch it again"
        return InputError(_printable(problem), shard=self.name)

    def not_a_tar(self, error: Exception) -> InputError:
        self.file.seek(0)
        start = self.file.read(8)
        for magic, kind in _OTHER_FORMATS.items():
            if start.startswith(magic):
                problem = f"not a plain tar but {kind} at byte 0, so no key was read; unpack it to .tar"
                return InputError(problem, shard=self.name)
        return self.broken(0, f"this is no tar file ({error})")


def _split(name: str) -> tuple[str, str]:
    """Key and field of a member's name; the field is empty where the name has none."""
    directory, slash, basename = name.rpartition("/")
    stem, _, rest = basename.partition(".")
    return (f"{directory}{slash}{stem}", rest) if stem and rest else (name, "")


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class TarWriter:
    """Writes a tar whose bytes depend on names and data only: USTAR, mtime 0, uid and gid 0, mode 0444.

    PAX headers appear only for names of more than 100 bytes. Leaving the `with` block normally ends the archive and
    flushes it to the disk; leaving it by an exception leaves a file that no reader takes for whole.
    """

    def __init__(self, path: Path) -> None:
        self._file: Any = path.open("wb")

    def add(self, member_name: str, data: bytes) -> None:
        """Append one member.

        Raises:
            ValueError: the name is unsafe (absolute, `..`, NUL, backslash, not UTF-8).
        """
        unsafe = unsafe_name(member_name)
        if unsafe is not None:
            raise ValueError(f"member name {member_name!r} {unsafe}")
        header = tarfile.TarInfo(member_name)
        header.size = len(data)
        header.mode = 0o444
        long = len(member_name.encode()) > tarfile.LENGTH_NAME
        self._file.write(header.tobuf(tarfile.PAX_FORMAT if long else tarfile.USTAR_FORMAT, "utf-8", "strict"))
        self._file.write(data)
        self._file.write(bytes(-len(data) % tarfile.BLOCKSIZE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.write(bytes(2 * tarfile.BLOCKSIZE))
                self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
