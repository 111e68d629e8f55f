"""Writes a published Parquet shard: Hugging Face features, row groups of bounded size, the same bytes every time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ValidationError
from schemas.plans import ProtectPlan
from stages.io.shards.layout import images_among, published_field
from stages.io.shards.parquet_columns import CopiedRows, columns_of
from stages.io.shards.sample import Label, NamedBytes, Sample

GROUP_ROWS, GROUP_BYTES = 1000, 64 * 2**20
"""A row group ends at so many rows or bytes: whoever reads, and this writer, has one of them in memory."""


@dataclass(frozen=True)
class _Row:
    """One sample that waits for its row group."""

    key: str
    image: tuple[str, bytes]
    """Member and bytes."""
    members: Mapping[str, bytes]
    labels: Sequence[Any]
    number: int
    """Of its row in an input table."""


class TableWriter:
    """The writer of Parquet shards; see `ShardWriter`.

    No page has a dictionary or statistics: images would be copied into them.
    """

    def __init__(self, target: Path, source: Path, name: str, plan: ProtectPlan) -> None:
        self.plan = plan
        self.columns = columns_of(source, name, plan)
        self.schema = self.columns.schema
        self._copied = CopiedRows(source, self.columns)
        self._rows: list[_Row] = []
        self._bytes = 0
        self._target = target
        self._file: Any = target.open("wb")
        self._writer = pq.ParquetWriter(
            self._file, self.schema, use_dictionary=False, write_statistics=False, write_page_checksum=True
        )

    def add_sample(
        self, sample: Sample, members: NamedBytes, labels: Sequence[int | float | None]
    ) -> tuple[NamedBytes, tuple[Label, ...]]:
        """Append one row.

        Raises:
            ValidationError: a member has no column.
        """
        original = images_among(sample, self.plan.layout)[0].field
        by_field = {name.removeprefix(f"{sample.key}."): data for name, data in members}
        field = published_field(original, self.plan.encoding)
        image = by_field.pop(field)
        row = _Row(sample.key, (field, image), by_field, labels, sample.row)
        self._rows.append(row)
        self._bytes += sum(len(data) for _, data in members)
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()
        stored = [member for member in self.columns.members.values() if member in by_field]
        # An input table's columns without bytes are a reader's member `json`.
        stored += ["json"] if self.columns.copied and "json" in by_field and "json" not in stored else []
        if lost := by_field.keys() - set(stored):
            raise ValidationError(f"member {min(lost)!r} has no column in the table")
        given = tuple(zip(self.columns.labels, labels, strict=True)) if self.columns.labels else sample.labels
        return [
            (f"{sample.key}.{name}", image if name == field else by_field[name]) for name in (field, *stored)
        ], given

    def _flush(self) -> None:
        """Write the samples that wait as one row group."""
        rows, self._rows, self._bytes = self._rows, [], 0
        if not rows:
            return
        columns = self.columns
        arrays = self._copied.take([row.number for row in rows])
        arrays[columns.key] = pa.array([row.key for row in rows], pa.string())
        images = [{"bytes": row.image[1], "path": f"{row.key}.{row.image[0]}"} for row in rows]
        arrays[columns.image] = pa.array(images, columns.types[columns.image])
        for name, member in columns.members.items():
            arrays[name] = _member_array(rows, member, columns.types[name])
        for index, name in enumerate(columns.labels):
            arrays[name] = pa.array([row.labels[index] for row in rows], columns.types[name])
        self._writer.write_table(pa.table([arrays[name] for name in columns.types], schema=self.schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if kind is not None:
                self._target.unlink(missing_ok=True)


def _member_array(rows: Sequence[_Row], member: str, kind: pa.DataType) -> pa.Array:
    """One member of every sample, null where a sample lacks it."""
    values: list[Any] = [row.members.get(member) for row in rows]
    if pa.types.is_struct(kind):
        pairs = zip(rows, values, strict=True)
        values = [data if data is None else {"bytes": data, "path": f"{row.key}.{member}"} for row, data in pairs]
    elif pa.types.is_string(kind):
        values = [data if data is None else data.decode() for data in values]
    return pa.array(values, kind)
