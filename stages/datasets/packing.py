"""Packing samples into tar shards in a store: deterministic, atomic, and done once for the same parameters."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from pydantic import Field, ValidationError

from schemas.errors import ConfigError
from schemas.records import ManifestShard, Record
from stages.io.shards.tar import TarWriter
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store

PackedSample = tuple[str, list[tuple[str, bytes]]]
"""Key and members, each (field, data): `("train-000000", [("png", b"…"), ("json", b"…")])`."""

Parameters = dict[str, int | str]
"""All that decides the bytes of an import: dataset, split, count, seed, …"""


class ImportRecord(Record):
    """`<prefix>.import.json` beside the shards. Written before the first shard, and again, complete, after the last."""

    format: str = "mtlue-import-1"
    parameters: Parameters
    complete: bool = False
    shards: list[ManifestShard] = Field(default_factory=list)


def pack_shards(
    samples: Iterable[PackedSample],
    store: Store,
    prefix: str,
    *,
    shard_samples: int,
    parameters: Parameters,
    directory: Path | None = None,
    on_shard: Callable[[ManifestShard], None] | None = None,
) -> list[ManifestShard]:
    """Write samples as `<prefix>-00000.tar`, `<prefix>-00001.tar`, … of `shard_samples` samples each.

    A shard is written to a local file and put atomically; memory holds one sample at a time. `<prefix>.import.json`
    remembers the parameters: once an import is complete, the next one with equal parameters draws no sample and writes
    nothing; an interrupted one is done again from its start and overwrites its own shards with the same bytes.

    Args:
        samples: in the order of the shards; the same ones whenever `parameters` are the same; left untouched when the
            import is complete already.
        store: where the shards go.
        prefix: start of the shards' names, such as `train`.
        shard_samples: samples in every shard but the last.
        parameters: what decides the samples; `shard_samples` is added here.
        directory: local folder for the shard that is being written; None: the system's temporary one.
        on_shard: called after each shard is in the store, for progress; never called when there is nothing to do.

    Returns:
        The shards in order: name, bytes, sha256 and samples.

    Raises:
        ConfigError: the place holds shards of that prefix from elsewhere, or of an import with other parameters.
        StoreError, TransientError: the store failed.
    """
    if shard_samples < 1:
        raise ConfigError(f"shard_samples must be at least 1; found {shard_samples}")
    record = ImportRecord(parameters={**parameters, "shard_samples": shard_samples})
    finished = _claim(store, prefix, record)
    if finished is not None:
        return finished
    shards: list[ManifestShard] = []
    with tempfile.TemporaryDirectory(prefix="mtlue-import-", dir=directory) as folder:
        path = Path(folder) / "shard.tar"
        for shard in _shards_of(samples, shard_samples):
            name = f"{prefix}-{len(shards):05d}.tar"
            shards.append(_write_shard(shard, path, name))
            store.put(path, name)
            if on_shard is not None:
                on_shard(shards[-1])
    _write_record(store, prefix, record.model_copy(update={"complete": True, "shards": shards}))
    return shards


def _claim(store: Store, prefix: str, wanted: ImportRecord) -> list[ManifestShard] | None:
    """Return the shards of a complete import with these parameters; else take the prefix for a new one: None.

    Refusing every other content keeps stale shards of a larger import, and somebody's own data, out of the dataset.
    """
    name = f"{prefix}.import.json"
    if store.stat(name) is None:
        found = _shard_sizes(store, prefix)
        if found:
            raise ConfigError(
                f"{store.join(next(iter(found)))} exists, and {name} is not there to say what it is "
                f"({len(found)} shards named {prefix}-*.tar): import to an empty place, or delete them"
            )
        _write_record(store, prefix, wanted)
        return None
    try:
        known = ImportRecord.model_validate_json(store.read(name))
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(
            f"{store.join(name)} is not the record of an import ({problem['msg']}): import to an empty place, "
            f"or delete it together with the shards named {prefix}-*.tar"
        ) from None
    if known.parameters != wanted.parameters:
        raise ConfigError(
            f"{store.join(name)} records an import with other parameters ({_difference(known, wanted)}): import to "
            f"another place, or delete it together with the shards named {prefix}-*.tar"
        )
    if known.complete and _shard_sizes(store, prefix) == {shard.name: shard.bytes for shard in known.shards}:
        return known.shards
    return None


def _difference(known: ImportRecord, wanted: ImportRecord) -> str:
    """Return `size 36 there, 32 asked` for every parameter that differs."""
    names = sorted({*known.parameters, *wanted.parameters})
    pairs = [(name, known.parameters.get(name), wanted.parameters.get(name)) for name in names]
    return ", ".join(f"{name}: {there} there, {asked} asked" for name, there, asked in pairs if there != asked)


def _shard_sizes(store: Store, prefix: str) -> dict[str, int]:
    """Return name and bytes of every object that a pattern `<prefix>-*.tar` would take for a shard."""
    return {
        entry.name: entry.size
        for entry in store.list(f"{prefix}-")
        if entry.name.endswith(".tar") and "/" not in entry.name[len(prefix) :]
    }


def _shards_of(samples: Iterable[PackedSample], shard_samples: int) -> Iterator[Iterator[PackedSample]]:
    """Yield each shard's samples; a shard's are used up before the next shard is asked for."""
    stream = iter(samples)
    for first in stream:
        yield chain([first], islice(stream, shard_samples - 1))


def _write_shard(samples: Iterable[PackedSample], path: Path, name: str) -> ManifestShard:
    count = 0
    with TarWriter(path) as writer:
        for key, members in samples:
            for field, data in members:
                writer.add(f"{key}.{field}", data)
            count += 1
    return ManifestShard(name=name, bytes=path.stat().st_size, sha256=file_sha256(path), samples=count)


def _write_record(store: Store, prefix: str, record: ImportRecord) -> None:
    store.write(f"{prefix}.import.json", record.model_dump_json(indent=1).encode() + b"\n")
