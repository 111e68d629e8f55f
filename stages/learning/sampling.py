"""The sample that a training sees, cut from the tables of all shards: the samples whose keys come first by hash.

    share(M, N) = m + 4·√m,  m = M/N        M samples wanted, N shards

is how many samples of one shard are worth keeping. With even shards, the M first of all samples hold more than that of
one shard once in 30,000 times. What a shard keeps depends on its keys alone, and a larger share contains a smaller one.
So shards that come or go change no other shard's table, and a larger cut gives the same sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa


def share(samples: int, shards: int) -> int:
    """Samples of one shard, at most, that may be among the first `samples` of `shards` shards."""
    mean = samples / max(1, shards)
    return math.ceil(mean + 4 * math.sqrt(mean))


def cut_tables(paths: Sequence[Path], samples: int) -> None:
    """Cut the tables in local files: together they keep the `samples` whose keys come first by hash.

    Of a shard that is larger than the others only its share counts. Keys that two shards have in common are ordered by
    their files. So every version of a dataset keeps the same samples.
    """
    limit = share(samples, len(paths))
    hashes = [_hashes(path) for path in paths]
    kept = [np.sort(np.argsort(each, kind="stable")[:limit]) for each in hashes]
    firsts = [each[rows] for each, rows in zip(hashes, kept, strict=True)]
    first_of_all = np.zeros(sum(map(len, firsts)), dtype=bool)
    first_of_all[np.argsort(np.concatenate(firsts), kind="stable")[:samples]] = True
    starts = np.cumsum([0, *map(len, firsts)])
    for number, path in enumerate(paths):
        rows = kept[number][first_of_all[starts[number] : starts[number + 1]]]
        if len(rows) < len(hashes[number]):
            _keep(path, rows)


HELD_OUT = 0.2
"""Share of the samples that an audit without held-out data keeps from its victims."""


def split_tables(paths: Sequence[Path], *, held_out: bool) -> None:
    """Leave of tables in local files the samples that are held out, or all others.

    The last byte of a key's hash decides: the first ones decide what `cut_tables` keeps. A sample is on the same side
    in every version of a dataset, whatever other samples there are.
    """
    for path in paths:
        last_bytes = _hashes(path).astype(np.uint64) & np.uint64(0xFF)
        _keep(path, np.flatnonzero((last_bytes < HELD_OUT * 256) == held_out))


def key_hashes(paths: Sequence[Path]) -> np.ndarray:
    """Of each row of the tables, one after the other, the hash of its key as a number."""
    return np.concatenate([_hashes(path) for path in paths])


def _hashes(path: Path) -> np.ndarray:
    """Of each row the hash of its key, as a number."""
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        parts = [reader.get_batch(number).column("key") for number in range(reader.num_record_batches)]
        return np.concatenate([np.frombuffer(b"".join(part.to_pylist()), dtype=">u8") for part in parts])


def _keep(path: Path, rows: np.ndarray) -> None:
    """Replace a table's file by one of some of its rows, batch by batch."""
    part = path.with_name(f"{path.name}.cut")
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
            start = 0
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                inside = rows[(rows >= start) & (rows < start + len(batch))] - start
                start += len(batch)
                if len(inside):
                    writer.write_batch(batch.take(pa.array(inside)))
    part.replace(path)
