"""RecordIndex records: many small objects of one folder, read as one.

    <folder>/…            one object a record, the only truth
    index/<folder>.gz     a line for each: name, size, etag, the object's bytes

A line counts only while the folder's listing shows the same name, size and etag; every other record is read by itself.
So an index that is old, damaged or missing costs time and is never wrong: it is written again from what was read.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from schemas.records import Record
from stages.io.store.objects import Entry
from stages.io.store.records import parse_record
from stages.io.store.store import Store

R = TypeVar("R", bound=Record)


class RecordIndex(Generic[R]):
    """The records of one folder of the private place; what is asked first lists it, once.

    Args:
        work: the private place.
        folder: such as `ledger/`.
        kind: of the records.
        hint: what the user can do about one that cannot be read.
    """

    def __init__(self, work: Store, folder: str, kind: type[R], hint: str) -> None:
        self.work, self.folder, self.kind, self.hint = work, folder, kind, hint
        self.index = f"index/{folder.strip('/')}.gz"
        self.listed: dict[str, Entry] | None = None
        self.lines: dict[str, bytes] = {}
        self.loaded = False
        self.stale = False
        """Whether the stored index is not what the folder holds."""

    @property
    def entries(self) -> dict[str, Entry]:
        """Name → object, as listed or as changed since then by this process."""
        return self.refresh() if self.listed is None else self.listed

    def refresh(self) -> dict[str, Entry]:
        """List the folder again: others may have changed it."""
        self.listed = {entry.name: entry for entry in self.work.list(self.folder)}
        return self.listed

    def read(self, names: Sequence[str]) -> list[R]:
        """The records of some objects, in that order.

        Raises:
            ValidationError: one of them cannot be read.
        """
        if names:
            self._load()
        missing = [name for name in names if not self._holds(name)]
        with ThreadPoolExecutor(16) as pool:
            found = dict(zip(missing, pool.map(self.work.read, missing), strict=True))
        for name, data in found.items():
            self._remember(self.entries[name], data)
        return [
            parse_record(
                found[name] if name in found else self.lines[name].split(b"\t", 3)[3],
                self.kind,
                self.work.join(name),
                self.hint,
            )
            for name in names
        ]

    def add(self, name: str, record: R) -> None:
        """Write a record."""
        self._load()
        data = record.model_dump_json().encode()
        entry = self.work.write(name, data)
        self.entries[name] = entry
        self._remember(entry, data)

    def remove(self, names: Iterable[str]) -> None:
        """Delete records."""
        gone = list(names)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.work.delete, gone))
        self.drop(gone)

    def drop(self, names: Iterable[str]) -> None:
        """Know that others have deleted records."""
        for name in names:
            self.entries.pop(name, None)

    def save(self) -> None:
        """Write the index again, if it is not what the folder holds; call it when all is read and written."""
        kept = {name: line for name, line in self.lines.items() if self._holds(name)}
        if self.stale or len(kept) < len(self.lines):
            self.lines, self.stale = kept, False
            self.work.write(self.index, gzip.compress(b"\n".join(kept.values()), compresslevel=1, mtime=0))

    def _holds(self, name: str) -> bool:
        """Whether a line is known that tells this object as it is now."""
        entry, line = self.entries.get(name), self.lines.get(name)
        return entry is not None and line is not None and line.startswith(_head(entry))

    def _remember(self, entry: Entry, data: bytes) -> None:
        if entry.etag and b"\n" not in data:  # without an etag nobody could tell an object from a later one
            self.lines[entry.name] = _head(entry) + data
            self.stale = True

    def _load(self) -> None:
        if self.loaded or self.work.stat(self.index) is None:
            self.loaded = True
            return
        self.loaded = True
        try:
            lines = gzip.decompress(self.work.read(self.index)).split(b"\n")
            self.lines = {
                line.split(b"\t", 1)[0].decode("utf-8", "surrogateescape"): line
                for line in lines
                if line.count(b"\t") >= 3
            }
        except (OSError, EOFError, zlib.error):  # cut off or damaged
            self.stale = True


def _head(entry: Entry) -> bytes:
    """How the line of an object begins; no name holds a tab."""
    return f"{entry.name}\t{entry.size}\t{entry.etag}\t".encode("utf-8", "surrogateescape")
