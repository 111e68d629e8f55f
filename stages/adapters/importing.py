"""From rows to shards: which rows make which shard, the same for any number of workers, and the import of one shard."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import ConfigError, InputError, SampleError
from schemas.imports import ImportedShard, Parameters, Skipped, SkippedCounts
from schemas.model import fingerprint
from schemas.records import ManifestShard
from stages.adapters.adapter import Adapter, Members, Row
from stages.io.shards.sample import key_hash
from stages.io.shards.tar import TarWriter
from stages.io.store.objects import file_sha256
from stages.io.store.store import Store

FORMAT = "mtlue-import-2"
"""Version of what a shard of an import holds for the same rows and parameters."""


@dataclass(frozen=True)
class ShardLimit:
    """When a shard is full: at a number of samples, or at a number of bytes of their source files."""

    samples: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.samples is None) == (self.bytes is None):
            raise ConfigError("a shard is full by samples or by bytes: give one of the two limits")
        limit = self.samples if self.samples is not None else self.bytes
        if limit is None or limit < 1:
            raise ConfigError(f"a shard must hold at least 1 sample and 1 byte; found the limit {limit}")

    @property
    def parameters(self) -> Parameters:
        """The limit as a parameter of the import."""
        if self.samples is not None:
            return {"shard_samples": self.samples}
        return {"shard_bytes": self.bytes or 0}


@dataclass(frozen=True)
class PlannedShard:
    """One shard that is to be: its name and rows."""

    name: str
    split: str
    rows: list[Row]
    identity: str
    """Hash of the import's parameters and of the rows; the same rows with the same options give the same bytes."""


@dataclass
class _Filling:
    """The shard of a split that is being filled."""

    number: int = 0
    bytes: int = 0
    rows: list[Row] = field(default_factory=list)


def planned_shards(
    rows: Iterable[Row | Skipped], limit: ShardLimit, parameters: Parameters, on_skipped: Callable[[Skipped], None]
) -> Iterator[PlannedShard]:
    """Group rows into `<split>-00000.tar`, …, a shard as soon as it is full.

    Memory holds the rows of one shard of each split, and 8 bytes for each key: a key that comes again is left out.

    Args:
        rows: in the order of the source.
        limit: when a shard is full; the row that reaches it is its last.
        parameters: all that decides the bytes, beside the rows.
        on_skipped: called for every row that becomes no sample.
    """
    filling: dict[str, _Filling] = {}
    seen: set[bytes] = set()
    for row in rows:
        if isinstance(row, Skipped):
            on_skipped(row)
            continue
        digest = key_hash(row.key)
        if digest in seen:
            message = f"{row.place}: the key {row.key} was there before; the first was kept: rename or delete this one"
            on_skipped(Skipped(reason="duplicate-key", message=message))
            continue
        seen.add(digest)
        current = filling.setdefault(row.split, _Filling())
        current.rows.append(row)
        current.bytes += row.size
        if len(current.rows) == limit.samples or (limit.bytes is not None and current.bytes >= limit.bytes):
            yield _shard(row.split, current, parameters)
            filling[row.split] = _Filling(current.number + 1)
    for split, current in filling.items():
        if current.rows:
            yield _shard(split, current, parameters)


def _shard(split: str, filled: _Filling, parameters: Parameters) -> PlannedShard:
    name = f"{split}-{filled.number:05d}.tar"
    identity = fingerprint([FORMAT, parameters, name, [list(row) for row in filled.rows]])
    return PlannedShard(name, split, filled.rows, identity)


def record_name(shard: str) -> str:
    """Name of the record of a shard.

    >>> record_name("train-00000.tar")
    'import/train-00000.json'
    """
    return f"import/{shard.removesuffix('.tar')}.json"


def import_shard(adapter: Adapter, planned: PlannedShard, store: Store, known: ImportedShard | None) -> ImportedShard:
    """Write one shard and its record, unless the store's bytes are what an earlier import has recorded.

    Memory holds one sample. A shard is written to a local file and put atomically; its record follows it. A shard whose
    rows all fail is a record without an object.

    Args:
        adapter: the dataset.
        planned: the shard's name and rows.
        store: where it goes.
        known: the record of an earlier import with the same identity, when an object of the recorded size is there. Its
            bytes are compared, and the shard is written again only when they differ.

    Raises:
        InputError: a file of the source cannot be read; nothing was put.
        StoreError, TransientError: the store failed.
    """
    skipped: list[Skipped] = []
    with tempfile.TemporaryDirectory(prefix="mtlue-import-") as folder:
        path = Path(folder) / "shard.tar"
        if known is not None:
            store.get(planned.name, path)
            if file_sha256(path) == known.shard.sha256:
                return known
        count = write_samples(_samples(adapter, planned.rows, skipped), path)
        made = ManifestShard(name=planned.name, bytes=0, sha256="", samples=0)
        etag = ""
        if count:
            made = ManifestShard(name=planned.name, bytes=path.stat().st_size, sha256=file_sha256(path), samples=count)
            etag = store.put(path, planned.name).etag
    record = ImportedShard(
        identity=planned.identity, split=planned.split, shard=made, etag=etag, skipped=SkippedCounts.of(skipped)
    )
    store.write(record_name(planned.name), record.model_dump_json(indent=1).encode() + b"\n")
    return record


def write_samples(samples: Iterable[tuple[str, Members]], path: Path) -> int:
    """Write samples, each key and members, as one tar; how many there were."""
    count = 0
    with TarWriter(path) as writer:
        for key, members in samples:
            for field, data in members:
                writer.add(f"{key}.{field}", data)
            count += 1
    return count


def _samples(adapter: Adapter, rows: list[Row], skipped: list[Skipped]) -> Iterator[tuple[str, Members]]:
    for row in rows:
        try:
            yield row.key, adapter.members(row)
        except SampleError as error:
            skipped.append(Skipped.of(error, row.place))
        except OSError as error:
            raise InputError(
                f"{error.filename or row.place} cannot be read ({error.strerror or error}); check the file and its "
                "permissions, then import again: what is done is kept"
            ) from error
