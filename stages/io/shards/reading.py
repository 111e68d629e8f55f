"""From a local shard to its samples: the ending of its name chooses the reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from schemas.dataset import Layout
from schemas.errors import InputError
from schemas.records import Quarantined
from stages.io.shards.parquet_reading import read_parquet
from stages.io.shards.sample import OnStray, Sample
from stages.io.shards.tar import read_tar


def read_samples(
    path: Path, name: str, dataset: Layout, on_stray: OnStray = lambda name: None
) -> Iterator[Sample | Quarantined]:
    """Stream the samples of one local shard, in their order and in constant memory.

    Args:
        path: the shard on the local disk.
        name: the shard's name for messages; its ending (`.tar`, `.parquet`) chooses the reader.
        dataset: how a sample is laid out.
        on_stray: called with the name of each member of a tar that belongs to no sample.

    Raises:
        InputError: the shard is damaged, or neither tar nor Parquet.
        RefusedInputError: a Parquet table without the image column, or one that must not be processed as it is.
    """
    if name.lower().endswith(".tar"):
        return read_tar(path, name, on_stray)
    if name.lower().endswith(".parquet"):
        return read_parquet(path, name, dataset)
    raise InputError("only .tar and .parquet can be read; convert it, or leave it out of dataset.shards", shard=name)
