"""The contract of a shard's writer, and the writer of each format: samples in, one file on the local disk out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Protocol, Self

from schemas.config import OutputFormat
from schemas.plans import ProtectPlan
from schemas.records import shard_stem
from stages.io.shards.parquet_writing import TableWriter
from stages.io.shards.sample import Label, NamedBytes, Sample
from stages.io.shards.tar import TarWriter


class ShardWriter(Protocol):
    """A context manager. Leaving it normally ends the file and flushes it to the disk; leaving it by an exception
    leaves nothing that a reader takes for whole. The bytes depend on what is added, and on nothing else.
    """

    def add_sample(
        self, sample: Sample, members: NamedBytes, labels: Sequence[int | float | None]
    ) -> tuple[NamedBytes, tuple[Label, ...]]:
        """Append one sample.

        Args:
            sample: the input's.
            members: what is published of it, in the input's order.
            labels: of each task of the plan that has a `feature`; None where there is none.

        Returns:
            The members in the order in which `read_samples` finds them, and the labels that it finds beside them.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _TarShard(TarWriter):
    """A WebDataset shard: labels are in its members alone."""

    def add_sample(
        self, sample: Sample, members: NamedBytes, labels: Sequence[int | float | None]
    ) -> tuple[NamedBytes, tuple[Label, ...]]:
        for name, data in members:
            self.add(name, data)
        return members, ()


def shard_writer(target: Path, source: Path, name: str, plan: ProtectPlan) -> ShardWriter:
    """The writer of a plan's format.

    Args:
        target: the new file; its ending must be the format's.
        source: the input shard on the local disk.
        name: the input shard's name.
        plan: format, layout and tasks.

    Raises:
        InputError: the input is damaged.
        RefusedInputError: its columns cannot be published in this format.
    """
    writer: ShardWriter = _WRITERS[plan.output_format](target, source, name, plan)
    return writer


_WRITERS: dict[OutputFormat, Callable[[Path, Path, str, ProtectPlan], Any]] = {
    "tar": lambda target, source, name, plan: _TarShard(target),
    "parquet": TableWriter,
}


def local_name(shard: str, path: Path) -> str:
    """The name under which a published file is read: that of its input, with the ending that the file has."""
    return f"{shard_stem(shard)}{PurePosixPath(path.name).suffix}"
