"""The columns of a published Parquet shard, found from its input: from the members of a tar, or from another table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError, RefusedInputError
from schemas.plans import ProtectPlan
from stages.io.images.formats import looks_like_image
from stages.io.shards.layout import images_among
from stages.io.shards.parquet_metadata import (
    IMAGE_FEATURE,
    IMAGE_TYPE,
    LABEL_FEATURES,
    TEXT_FEATURE,
    StoredTable,
    features_in,
    written_metadata,
)
from stages.io.shards.parquet_reading import DAMAGED, READ_BYTES, Table
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample

MOST_COLUMNS = 1000
"""Columns of a table from a tar, at most: where each sample has members of its own, a table is of no use."""

KEY, IMAGE = "__key__", "image"
"""Names of the columns where the input has none: webdataset's, and the usual one on the Hub."""

SOURCE_ROWS = 1024
"""Rows of the input that are read at once, of the columns without bytes."""


@dataclass
class Columns:
    """The columns of one published shard."""

    key: str
    image: str
    members: dict[str, str] = field(default_factory=dict)
    """Column → member."""
    labels: list[str] = field(default_factory=list)
    """Columns of labels that mtlue adds."""
    types: dict[str, pa.DataType] = field(default_factory=dict)
    """Type of each column, in order."""
    features: dict[str, Any] = field(default_factory=dict)
    """Hugging Face feature of a column, where it is known."""
    copied: list[str] = field(default_factory=list)
    """Columns that are the input table's."""
    dropped: frozenset[str] = frozenset()
    """Dotted fields that are taken out of them."""
    kept_labels: list[str] = field(default_factory=list)
    """Columns of labels that the input, a table of mtlue's own, has already."""

    @property
    def schema(self) -> pa.Schema:
        """Of the file, with both programs' metadata."""
        labels = [*self.labels, *self.kept_labels]
        stored = StoredTable(key=self.key, image=self.image, members=self.members, labels=labels)
        known = {name: self.features[name] for name in self.types if name in self.features}
        return pa.schema(list(self.types.items()), metadata=written_metadata(stored, known))

    def add(self, name: str, kind: pa.DataType, feature: dict[str, Any] | None = None) -> str:
        """One more column; a name that is taken gets an ending. Returns the name."""
        while name in self.types:
            name = f"{name}.member"
        self.types[name] = kind
        if feature is not None:
            self.features[name] = feature
        return name


def columns_of(source: Path, name: str, plan: ProtectPlan) -> Columns:
    """The columns of the table that is published for an input shard.

    Raises:
        InputError: the input is damaged.
        RefusedInputError: it cannot be published as a table; says what to do.
    """
    try:
        return _of_table(source, name, plan) if name.lower().endswith(".parquet") else _of_members(source, name, plan)
    except DAMAGED as error:
        raise InputError(f"the Parquet file is damaged, or is none: {error}; fetch it again", shard=name) from error


def _of_members(source: Path, name: str, plan: ProtectPlan) -> Columns:
    """A key, the image, a column for each task that has a feature, and every member under its name."""
    columns = Columns(KEY, IMAGE)
    columns.add(KEY, pa.string(), TEXT_FEATURE)
    columns.add(IMAGE, IMAGE_TYPE, IMAGE_FEATURE)
    for task in plan.tasks:
        if task.feature:
            kind = next(kind for kind, word in LABEL_FEATURES.items() if word == task.feature["_type"])
            columns.labels.append(columns.add(task.name, kind, task.feature))
    for member, (kind, feature) in _member_types(source, name, plan).items():
        columns.members[columns.add(member, kind, feature)] = member
    return columns


_TEXT, _PICTURE = (pa.string(), TEXT_FEATURE), (IMAGE_TYPE, IMAGE_FEATURE)
_BYTES = (pa.binary(), {"dtype": "binary", "_type": "Value"})


def _member_types(source: Path, name: str, plan: ProtectPlan) -> dict[str, tuple[pa.DataType, dict[str, Any]]]:
    """Member → type and feature, in the order in which they first occur: text, image, or bytes where samples differ."""
    found: dict[str, tuple[pa.DataType, dict[str, Any]]] = {}
    for sample in read_samples(source, name, plan.layout):
        if not isinstance(sample, Sample):
            continue
        images = images_among(sample, plan.layout)
        for member in sample.members:
            if member not in images and plan.layout.members.get(member.field) != "drop":
                kind = _PICTURE if looks_like_image(member.data) else _TEXT if _is_text(member.data) else _BYTES
                found[member.field] = kind if found.get(member.field, kind) is kind else _BYTES
        if len(found) > MOST_COLUMNS:
            raise RefusedInputError(
                f"its samples have more than {MOST_COLUMNS} different members, too many for the columns of a table; "
                "set protect.output_format to tar, or name the members alike",
                shard=name,
                key=sample.key,
            )
    return found


def _is_text(data: bytes) -> bool:
    try:
        return data.decode() is not None
    except UnicodeDecodeError:
        return False


def _of_table(source: Path, name: str, plan: ProtectPlan) -> Columns:
    """The input's columns in their order, with its types and features; the key comes first where it has none."""
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow
    table = Table(schema, name, plan.layout)
    features = features_in(schema)
    feature = features.get(table.image)
    word = feature.get("_type") if isinstance(feature, dict) else type(feature).__name__
    if feature is not None and word not in {"Image", "Value"}:
        raise RefusedInputError(
            f"column {table.image!r} is {word} by its Hugging Face features, and no Image; name the column of pictures "
            "in dataset.image, correct the features, or set protect.output_format to tar",
            shard=name,
        )
    columns = Columns("", table.image, dropped=table.dropped, kept_labels=table.labels)
    if not table.key:
        columns.key = columns.add(_unused(KEY, schema.names), pa.string(), TEXT_FEATURE)
    for column, kind in zip(schema.names, schema.types, strict=True):
        if column == table.key:
            columns.key = columns.add(column, pa.string(), TEXT_FEATURE)
        elif column == table.image:
            columns.add(column, IMAGE_TYPE, feature if word == "Image" else IMAGE_FEATURE)
        elif column in table.members:
            stored = IMAGE_TYPE if pa.types.is_struct(kind) else kind
            columns.members[columns.add(column, stored, features.get(column))] = table.members[column]
        elif column in (*table.plain, *table.labels):
            columns.add(
                column, without_fields(kind, column, table.dropped), _pruned(features.get(column), column, table)
            )
            columns.copied.append(column)
    return columns


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name


def without_fields(kind: pa.DataType, name: str, dropped: frozenset[str]) -> pa.DataType:
    """A type without the struct fields whose dotted names are dropped."""
    if pa.types.is_struct(kind):
        kept = [inner for inner in kind if f"{name}.{inner.name}" not in dropped]
        return pa.struct(
            [inner.with_type(without_fields(inner.type, f"{name}.{inner.name}", dropped)) for inner in kept]
        )
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(without_fields(kind.value_type, name, dropped)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(without_fields(kind.value_type, name, dropped)))
    return kind


def _pruned(feature: Any, name: str, table: Table) -> Any:
    """A Hugging Face feature without the fields that are dropped."""
    if isinstance(feature, list):
        return [_pruned(inner, name, table) for inner in feature]
    if not isinstance(feature, dict):
        return feature
    if "_type" in feature:
        inner = feature.get("feature")
        return feature if inner is None else {**feature, "feature": _pruned(inner, name, table)}
    kept = {key: inner for key, inner in feature.items() if f"{name}.{key}" not in table.dropped}
    return {key: _pruned(inner, f"{name}.{key}", table) for key, inner in kept.items()}


class CopiedRows:
    """Rows of the input table, of the columns that are published as they are; read once, from first to last.

    Args:
        source: the input table.
        columns: of the published table.
    """

    def __init__(self, source: Path, columns: Columns) -> None:
        self.columns = columns
        self._batches = self._read(source)
        self._batch: pa.RecordBatch | None = None
        self._start = 0

    def take(self, rows: Sequence[int]) -> dict[str, pa.Array]:
        """Column → values of these rows, which ascend from call to call."""
        parts: list[pa.RecordBatch] = []
        wanted = list(rows)
        while wanted and self.columns.copied:
            if self._batch is None:
                self._batch = next(self._batches)
            end = self._start + self._batch.num_rows
            inside = [row - self._start for row in wanted if row < end]
            if inside:
                parts.append(self._batch.take(pa.array(inside)))
                wanted = wanted[len(inside) :]
            if wanted:
                self._start, self._batch = end, None
        if not parts:
            return {}
        whole = pa.Table.from_batches(parts).unify_dictionaries().combine_chunks()
        return {name: self._cut(name, whole.column(name)) for name in self.columns.copied}

    def _read(self, source: Path) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(source, buffer_size=READ_BYTES, pre_buffer=False) as file:
            for batch in file.iter_batches(SOURCE_ROWS, columns=self.columns.copied, use_threads=False):
                yield batch.select(self.columns.copied)

    def _cut(self, name: str, values: pa.ChunkedArray) -> pa.Array:
        """The values without the dropped fields of their structs."""
        kind = self.columns.types[name]
        whole = values.chunk(0) if values.num_chunks == 1 else pa.concat_arrays(values.chunks)
        # By way of Python: Arrow gives a field that the type does not know to nobody.
        return whole if whole.type == kind else pa.array(whole.to_pylist(), kind)
