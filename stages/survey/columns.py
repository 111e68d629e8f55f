"""What the schema of a Parquet file says of its columns, Hugging Face's features among it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from stages.io.images.formats import looks_like_image
from stages.io.shards.parquet import holds_bytes, is_bytes

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
