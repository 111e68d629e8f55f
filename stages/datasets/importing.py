"""Import of one shard: its rows' files are read, made into samples and put into the store as a whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from schemas.errors import InputError, SampleError
from schemas.imports import ImportedShard, Skipped, SkippedCounts
from schemas.records import ManifestShard
from stages.datasets.adapter import Adapter, Members, Row
from stages.datasets.planning import PlannedShard
from stages.io.shards.tar import TarWriter
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store


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
        known: the record of an earlier import with the same identity, when an object of the recorded size is there:
            its bytes are compared, and it is made anew only when they differ.

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
