"""Parquet shards: each row becomes a sample of an image, binary members and one JSON member."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.dataset import Layout
from schemas.errors import InputError, RefusedInputError, SampleError
from schemas.records import Quarantined
from stages.io.images.formats import image_extension
from stages.io.shards.parquet_metadata import stored_table
from stages.io.shards.sample import Member, Sample, key_hash, same_key, unsafe_name

BATCH_ROWS = 64
"""Rows that are in memory at once."""

READ_BYTES = 2**20
"""Bytes read at once of each column."""

DAMAGED = (pa.ArrowException, OSError, ValueError, KeyError)


def read_parquet(path: Path, name: str, dataset: Layout) -> Iterator[Sample | Quarantined]:
    """Stream the rows of a Parquet file as samples.

    The image column is the first of `dataset.image_fields` that is there: binary, or a struct with `bytes`. The
    struct's `path` may be an original file name and is never published. It becomes a member named after its content
    (`jpg`, `png`, `webp`, …; `img` when unknown). Other binary columns become members of their own name. Every other
    column is a key of the member `json`; NaN and infinity become null, times become ISO 8601 text. Columns that
    `dataset.members` drops are not read, and struct fields that it drops (`meta.exif`) are left out. The key is
    `__key__` or `key`, with dots as underscores, otherwise `<file's stem>-<row>`. Quarantined: `no-image` (null),
    `unsafe-name`, `duplicate-key` (the first is kept). A file that mtlue has written says itself which column is what
    (`StoredTable`): its samples have the members that they were written from.

    Args:
        path: the shard on the local disk.
        name: the shard's name for messages, records and keys.
        dataset: names the image column and the columns to drop.

    Raises:
        InputError: the file is no Parquet or is damaged.
        RefusedInputError: no image column, or columns that cannot become members.
    """
    row = 0
    try:
        # Without buffer_size, or with pre_buffer, pyarrow holds whole columns of a row group.
        with pq.ParquetFile(path, buffer_size=READ_BYTES, pre_buffer=False, page_checksum_verification=True) as file:
            table = Table(file.schema_arrow, name, dataset)
            for batch in file.iter_batches(BATCH_ROWS, columns=table.read, use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    yield table.sample(dict(zip(batch.schema.names, values, strict=True)), row)
                    row += 1
    except DAMAGED as error:
        raise InputError(
            f"the Parquet file is damaged, or is none, at or after row {row}: {error}; fetch it again", shard=name
        ) from error


class Table:
    """What each column of one file becomes.

    Args:
        schema: of the file.
        name: the shard's name, for messages and keys.
        dataset: names the image column and the columns to drop.

    Raises:
        InputError: the metadata of our own is damaged.
        RefusedInputError: as `read_parquet`.
    """

    def __init__(self, schema: pa.Schema, name: str, dataset: Layout) -> None:
        self.name = name
        self.ours = stored_table(schema, name)
        self.stem = PurePosixPath(name).name.removesuffix(".parquet").replace(".", "_")
        self.seen: set[bytes] = set()
        if len(set(schema.names)) < len(schema.names):
            raise RefusedInputError(f"column names stand twice in {schema.names}; rename them", shard=name)
        types = dict(zip(schema.names, schema.types, strict=True))
        fields = dataset.image_fields if self.ours is None else (self.ours.image,)
        self.image = next((column for column in fields if column in types), "")
        binary = [column for column, kind in types.items() if is_bytes(kind)]
        if self.image not in binary:
            found = f"column {self.image!r} is {types[self.image]}" if self.image else "no such column"
            raise RefusedInputError(
                f"dataset.image is {dataset.image!r}, but {found}; columns with bytes: {', '.join(binary) or 'none'}; "
                f"all columns: {', '.join(types)}; name the right one in dataset.image",
                shard=name,
            )
        self.dropped = frozenset(name.removeprefix("json.") for name, what in dataset.members.items() if what == "drop")
        keys = ("__key__", "key") if self.ours is None else (self.ours.key,)
        self.key = next((column for column in keys if column in types and column not in binary), "")
        kept = [column for column in types if column in (self.image, self.key) or column not in self.dropped]
        self.read = kept if len(kept) < len(types) else None
        self.members = {column: column for column in kept if column in binary and column != self.image}
        """Column → the member that it becomes."""
        self.labels: list[str] = []
        if self.ours is not None:
            self.members, self.labels = self.ours.members, self.ours.labels
        self.plain = [column for column in kept if column not in (*binary, self.key, *self.members, *self.labels)]
        for column in self.plain:
            if holds_bytes(types[column], column, self.dropped):
                raise RefusedInputError(
                    f"column {column!r} nests bytes in {types[column]}, where an unprotected original may hide; "
                    "declare it `drop` under dataset.members, or store it as a column of its own",
                    shard=name,
                )
        for column in self.members if self.ours is None else ():
            if column == "json" or "/" in column or unsafe_name(column) is not None:
                raise RefusedInputError(
                    f"binary column {column!r} cannot be a member's name; rename it, or declare it `drop` under "
                    "dataset.members",
                    shard=name,
                )

    def sample(self, row: Mapping[str, Any], index: int) -> Sample | Quarantined:
        """Row `index` as a sample."""
        default = f"{self.stem}-{index:08d}"
        given = str(row[self.key]) if self.key and row[self.key] is not None else default
        unsafe = unsafe_name(given)
        key = given.replace(".", "_")
        if unsafe is not None or key.endswith("/"):
            return self.quarantined(default, "unsafe-name", f"the key {given!r} {unsafe or 'has no name'}; correct it")
        digest = key_hash(same_key(key))
        if digest in self.seen:
            return self.quarantined(key, "duplicate-key", f"row {index} repeats a key; make {self.key!r} unique")
        self.seen.add(digest)
        image = _bytes(row[self.image])
        if image is None:
            return self.quarantined(key, "no-image", f"column {self.image!r} of row {index} holds no bytes; embed them")
        extension = image_extension(image) or "img" if self.ours is None else self._stored_field(row, key)
        members = [Member(extension, image)]
        for column, field in self.members.items():
            data = _bytes(row[column])
            if data is not None and field == extension:
                raise RefusedInputError(
                    f"column {column!r} has the name of the image's format; rename it, or declare it `drop` under "
                    "dataset.members",
                    shard=self.name,
                    key=key,
                )
            if data is not None:
                members.append(Member(field, data))
        if self.plain:
            values = {column: _plain(row[column], column, self.dropped) for column in self.plain}
            members.append(Member("json", json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()))
        labels = tuple((column, row[column]) for column in self.labels)
        return Sample(key, tuple(members), image=extension, row=index, labels=labels)

    def _stored_field(self, row: Mapping[str, Any], key: str) -> str:
        """The member of a published image, as the `path` beside its bytes says.

        Raises:
            InputError: it says something else.
        """
        path = row[self.image].get("path")
        if not isinstance(path, str) or not path.startswith(f"{key}."):
            problem = f"the path of its image is {path!r}, which is no member of the sample; publish the shard again"
            raise InputError(problem, shard=self.name, key=key)
        return path.removeprefix(f"{key}.")

    def quarantined(self, key: str, reason: str, message: str) -> Quarantined:
        """The record of a row that is left out."""
        return Quarantined.of(SampleError(reason, message), shard=self.name, key=key)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column is binary, or a struct with `bytes`."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def holds_bytes(kind: pa.DataType, name: str, dropped: frozenset[str]) -> bool:
    """Whether a type has bytes anywhere inside, fields that are dropped apart."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds_bytes(kind.storage_type, name, dropped)
    if isinstance(kind, pa.DictionaryType):
        return holds_bytes(kind.value_type, name, dropped)
    inner = [kind.field(index) for index in range(kind.num_fields)]
    if pa.types.is_struct(kind):
        named = [(field.type, f"{name}.{field.name}") for field in inner]
    else:
        named = [(field.type, name) for field in inner]
    return _is_binary(kind) or any(holds_bytes(each, key, dropped) for each, key in named if key not in dropped)


def _bytes(value: Any) -> bytes | None:
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, str):  # text of a member, in a file of our own
        return data.encode()
    return data if isinstance(data, bytes) else None


def _values(column: pa.Array) -> list[Any]:
    """Python values of a column; nanoseconds, which Python's times lack, are cut to microseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    elif pa.types.is_duration(column.type):
        column = column.cast(pa.duration("us"), safe=False)
    elif pa.types.is_time64(column.type):
        column = column.cast(pa.time64("us"), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _plain(value: Any, name: str, dropped: frozenset[str]) -> Any:
    """`value` as strict JSON has it, without the struct fields that are dropped."""
    if isinstance(value, dict):
        inner = {str(key): f"{name}.{key}" for key in value}
        return {key: _plain(value[key], below, dropped) for key, below in inner.items() if below not in dropped}
    if isinstance(value, list | tuple):
        return [_plain(inner, name, dropped) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if value is None or isinstance(value, bool | int | str) else str(value)
