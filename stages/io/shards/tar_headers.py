"""The headers of a tar on the local disk, each proved to lie in the file with all of its data."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from schemas.errors import InputError
from stages.io.shards.names import key_and_field

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

        None, and nothing has changed: it is anything but an ordinary file with a short name and an octal size, or its
        checksum is wrong, or a global header speaks of all. The first header is one that tarfile has read already.
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
