"""WebDataset tar shards: a strict streaming reader and a deterministic writer."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from schemas.errors import SampleError
from schemas.records import Quarantined
from stages.io.shards.sample import Member, OnStray, Sample, is_metadata, key_and_field, key_hash, same_key, unsafe_name
from stages.io.shards.tar_headers import Problem, TarHeaders, apart, printable

MEMBER_LIMIT = 2 * 2**30
"""Largest member, and largest sum of a sample's members, that is read into memory: 2 GiB."""


def read_tar(path: Path, name: str, on_stray: OnStray = lambda name: None) -> Iterator[Sample | Quarantined]:
    """Stream the samples of an uncompressed tar; memory holds one sample and 8 bytes' hash of each key.

    A first pass over the headers finds the keys that do not stand together, so that no part of them is ever yielded.
    Members without a key (`.DS_Store`, `README`, `._a.jpg`, all below `__MACOSX/`) are ignored and end no sample, as in
    webdataset. So are directories and metadata (`__index__`). A sample is quarantined whole, and once. Reasons:
    `unsafe-name` (a link, device or sparse file; an absolute name, `..`, NUL, backslash, not UTF-8), `unsorted-key` and
    `duplicate-key` (`tar_headers.apart`), `member-too-large` (over 2 GiB).

    Args:
        path: the shard on the local disk.
        name: the shard's name for messages and records.
        on_stray: called with the name of each member that has no key, in order.

    Raises:
        InputError: the file is no plain tar, is cut short anywhere (in a header, in data, before the end-of-archive
            block), or goes on after its end. Names shard, byte offset and the last key that was whole.
    """
    with path.open("rb") as file:
        yield from _Reader(file, name, on_stray).samples()


@dataclass(slots=True)
class _Group:
    """The members of one key, as far as they were read."""

    key: str
    same: str
    """The key's one spelling."""
    problem: Problem | None
    silent: bool
    """Whether an earlier part of the key was left out, with a record."""
    members: list[Member] = field(default_factory=list)
    size: int = 0

    def quarantine(self, reason: str, message: str) -> None:
        self.problem = self.problem or (reason, message)
        self.members.clear()


class _Reader:
    def __init__(self, file: IO[bytes], name: str, on_stray: OnStray) -> None:
        self.file = file
        self.name = name
        self.on_stray = on_stray
        self.headers = TarHeaders(file, name)

    def samples(self) -> Iterator[Sample | Quarantined]:
        left_out = apart(self.headers, self.name)
        group: _Group | None = None
        for entry in self.headers:
            if entry.isdir():
                continue
            parts = key_and_field(entry.name)
            if parts is None:
                yield from self.stray(entry.name)
                continue
            same = same_key(parts[0])
            if group is None or group.same != same:
                if group is not None:
                    yield from self.finish(group)
                group = self.start(parts[0], same, left_out)
            self.add(group, entry, parts[1])
        if group is not None:
            yield from self.finish(group)

    def stray(self, name: str) -> Iterator[Quarantined]:
        """A member without a key; it ends no sample."""
        unsafe = unsafe_name(name)
        if unsafe is not None:
            error = SampleError("unsafe-name", printable(f"member {name!r} {unsafe}; rename it"))
            yield Quarantined.of(error, shard=self.name, key=printable(name))
        elif not is_metadata(name):
            self.on_stray(name)

    def start(self, key: str, same: str, left_out: dict[bytes, Problem | None]) -> _Group:
        digest = key_hash(same)
        problem = left_out.get(digest)
        silent = digest in left_out and problem is None
        if problem is not None:
            left_out[digest] = None
        return _Group(key, same, problem, silent)

    def add(self, group: _Group, entry: tarfile.TarInfo, name: str) -> None:
        group.size += entry.size
        unsafe = unsafe_name(entry.name)
        if not entry.isreg() or entry.issparse():
            found = f"member {entry.name!r} is no ordinary file (link, device or sparse file)"
            group.quarantine("unsafe-name", f"{found}; pack the files that it leads to (tar -h --hard-dereference)")
        elif unsafe is not None:
            group.quarantine("unsafe-name", f"member {entry.name!r} {unsafe}; rename it")
        elif group.size > MEMBER_LIMIT:
            found = f"member {entry.name!r} has {entry.size} bytes, its sample over {MEMBER_LIMIT}"
            group.quarantine("member-too-large", f"{found}; split it, or take it out")
        elif group.problem is None and not group.silent:
            self.file.seek(entry.offset_data)
            data = self.file.read(entry.size)
            if len(data) != entry.size:
                raise self.headers.broken(entry.offset_data + len(data), f"the data of {entry.name!r} ends early")
            group.members.append(Member(name, data))

    def finish(self, group: _Group) -> Iterator[Sample | Quarantined]:
        if group.silent:
            return
        if group.problem is None:
            yield Sample(group.key, tuple(group.members))
            return
        reason, message = group.problem
        yield Quarantined.of(SampleError(reason, printable(message)), shard=self.name, key=printable(group.key))


class TarWriter:
    """Writes a tar whose bytes depend on names and data only: USTAR, mtime 0, uid and gid 0, mode 0444.

    PAX headers appear only for names of more than 100 bytes. Leaving the `with` block normally ends the archive and
    flushes it to the disk. After an exception the file is one that no reader takes for whole.
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
        self._file.write(_header(member_name, len(data)))
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


_AFTER_NAME = b"0000444\0" + 2 * b"0000000\0"
"""Mode, uid and gid in a header."""

_AFTER_CHECKSUM = (b"0" + bytes(100) + b"ustar\x0000").ljust(356, b"\0")
"""Type, link, magic; no names of user and group, no device, no prefix."""


def _header(name: str, size: int) -> bytes:
    """The header of a member; as `tarfile` writes it, in a fifth of the time where the name is short."""
    encoded = name.encode()
    if len(encoded) > tarfile.LENGTH_NAME or size >= 8**11:
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o444
        return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    start = encoded.ljust(tarfile.LENGTH_NAME, b"\0") + _AFTER_NAME + b"%011o\x0000000000000\0" % size
    checksum = sum(start) + sum(_AFTER_CHECKSUM) + 8 * ord(" ")
    return start + b"%06o\0 " % checksum + _AFTER_CHECKSUM
