"""The values of one field over some samples, and what the schema of a Parquet file says of its columns."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from schemas.tasks.task import is_missing
from stages.io.images.formats import looks_like_image
from stages.io.shards.parquet_reading import holds_bytes, is_bytes

MOST_VALUES = 5000
"""Different values of a field that are remembered; more are no classes."""

DEEPEST = 8
"""Levels of JSON in which labels are looked for."""

LONGEST = 200
"""Letters of a value that is remembered whole; a longer text is no class name."""


@dataclass
class Values:
    """What one field of the samples' labels holds."""

    name: str
    """Dotted as a task names it: `json.label`, `cls`."""
    count: int = 0
    """Samples with a value."""
    missing: int = 0
    """Samples in which it is null, NaN, or empty text."""
    numbers: int = 0
    """Values that are numbers, or texts that read as one."""
    whole: int = 0
    """Of these, whole numbers."""
    texts: int = 0
    """Values that are text, numbers among them."""
    lists: int = 0
    others: int = 0
    """Values that no task reads."""
    low: float = math.inf
    high: float = -math.inf
    distinct: Counter[str] = field(default_factory=Counter)
    """Value, as text → how often; at most `MOST_VALUES`."""
    too_many: bool = False
    """Whether some values were not remembered."""
    lengths: set[int] = field(default_factory=set)
    """Lengths of the lists."""
    items: Counter[str] = field(default_factory=Counter)
    """Entry of the lists, as text → in how many samples."""
    item_kinds: set[str] = field(default_factory=set)
    """`number`, `text` or `other`."""

    def add(self, value: Any) -> None:
        """Count one sample's value."""
        if is_missing(value):
            self.missing += 1
            return
        self.count += 1
        if isinstance(value, list | tuple):
            self._add_list(list(value))
        elif isinstance(value, bool | int | float | str):
            self._add_scalar(value)
        else:
            self.others += 1

    def _add_scalar(self, value: bool | int | float | str) -> None:
        text = value.strip() if isinstance(value, str) else json.dumps(value)
        self.texts += isinstance(value, str)
        number = _number(value)
        if number is not None:
            self.numbers += 1
            self.whole += number.is_integer()
            self.low, self.high = min(self.low, number), max(self.high, number)
            text = str(int(number)) if number.is_integer() else repr(number)
        self._remember(self.distinct, text)

    def _add_list(self, values: list[Any]) -> None:
        self.lists += 1
        self.lengths.add(len(values))
        for value in values:
            number = _number(value) if not isinstance(value, str) else None
            kind = "number" if number is not None else "text" if isinstance(value, str) else "other"
            self.item_kinds.add(kind)
        texts = {value.strip() if isinstance(value, str) else json.dumps(value, default=str) for value in values}
        for text in sorted(texts):
            self._remember(self.items, text)

    def _remember(self, counter: Counter[str], text: str) -> None:
        if len(text) > LONGEST or (text not in counter and len(counter) >= MOST_VALUES):
            self.too_many = True
        else:
            counter[text] += 1


def _number(value: Any) -> float | None:
    """The finite number that a value is or spells."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def flattened(prefix: str, value: Any, depth: int = 0) -> list[tuple[str, Any]]:
    """Dotted name and value of each key below a JSON object; a list is one value, and so is what lies too deep."""
    if not isinstance(value, dict) or not value or depth >= DEEPEST:
        return [(prefix, value)]
    names = {key: f"{prefix}.{key}" if prefix else key for key in value}
    return [pair for key, inner in value.items() for pair in flattened(names[key], inner, depth + 1)]


FEATURES = b"huggingface"
"""Key of the schema's metadata under which `datasets` writes its features."""


@dataclass
class Columns:
    """The columns of a Parquet file."""

    image: str = ""
    """Column of the image to protect; empty for a tar."""
    class_names: dict[str, list[str]] = field(default_factory=dict)
    """Column of a `ClassLabel` → its names."""
    nested: list[str] = field(default_factory=list)
    """Columns with bytes somewhere inside, which are not published."""


def columns_of(path: Path, name: str) -> Columns:
    """Read the schema of a Parquet file, and the first rows of its binary columns.

    Raises:
        InputError: it is no Parquet, or has no column of images.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            binary = [each.name for each in schema if is_bytes(each.type)]
            features = _features(schema)
            images = [column for column in binary if _type_of(features.get(column)) == "Image"]
            rows = next(file.iter_batches(8, columns=binary), None) if binary and not images else None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"the Parquet file is damaged, or is none: {error}; fetch it again", shard=name) from error
    images = images or ([] if rows is None else [column for column in binary if _holds_image(rows.column(column))])
    if not images:
        raise InputError(
            f"no column holds images; columns with bytes: {', '.join(binary) or 'none'}; all columns: "
            f"{', '.join(schema.names)}; embed the images (datasets: `embed_external_files=True`)",
            shard=name,
        )
    nested = [
        each.name for each in schema if each.name not in binary and holds_bytes(each.type, each.name, frozenset())
    ]
    names = {
        column: list(feature["names"]) for column, feature in features.items() if _type_of(feature) == "ClassLabel"
    }
    usual = next(
        (column for column in images if column.lower() in {"image", "img", "jpg", "png", "picture"}), images[0]
    )
    return Columns(usual, names, nested)


def _features(schema: pa.Schema) -> dict[str, Any]:
    try:
        found = json.loads((schema.metadata or {}).get(FEATURES, b"{}"))
        features = found.get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    return features if isinstance(features, dict) else {}


def _type_of(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, dict) else ""


def _holds_image(column: pa.Array) -> bool:
    for value in column.to_pylist():
        data = value.get("bytes") if isinstance(value, dict) else value
        if isinstance(data, bytes):
            return looks_like_image(data)
    return False
