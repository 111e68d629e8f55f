"""The metadata of mtlue's own Parquet shards: which column is what, so that samples are read again."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from pydantic import Field, ValidationError

from schemas.errors import InputError
from schemas.records import Record

OURS, HUGGING_FACE = b"mtlue", b"huggingface"
"""Keys in the metadata of a Parquet schema."""

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How `datasets` stores an image; another order or type of the fields is no `Image` to it."""

LABEL_FEATURES = {pa.int64(): "ClassLabel", pa.float64(): "Value"}
"""Type of a column of labels → the `_type` of its feature."""

IMAGE_FEATURE: dict[str, Any] = {"_type": "Image"}
TEXT_FEATURE: dict[str, Any] = {"dtype": "string", "_type": "Value"}


class StoredTable(Record):
    """Which column of a published Parquet shard is what. A column that is not named is a key of the member `json`."""

    format: str = "mtlue-parquet-1"
    key: str
    """Column of the samples' keys."""
    image: str
    """Column of the protected images; the `path` of each is its key and its member."""
    members: dict[str, str] = Field(default_factory=dict)
    """Column → member that it holds byte for byte."""
    labels: list[str] = Field(default_factory=list)
    """Columns of labels, which repeat what the members say."""


def stored_table(schema: pa.Schema, shard: str) -> StoredTable | None:
    """What mtlue wrote of a Parquet file; None when another program wrote it.

    Raises:
        InputError: it cannot be read, or names columns that are not there.
    """
    data = (schema.metadata or {}).get(OURS)
    if data is None:
        return None
    try:
        table = StoredTable.model_validate_json(data)
    except ValidationError as error:
        raise InputError(
            f"the file's metadata `mtlue` cannot be read ({error.error_count()} problems): a newer version wrote it, "
            "or it was changed; use that version, or write the file again without this metadata",
            shard=shard,
        ) from None
    missing = {table.key, table.image, *table.members, *table.labels} - set(schema.names)
    if missing:
        raise InputError(
            f"the file's metadata `mtlue` names the column {min(missing)!r}, which is not there; publish it again",
            shard=shard,
        )
    return table


def features_in(schema: pa.Schema) -> dict[str, Any]:
    """Column → Hugging Face feature, as the metadata of a Parquet file has them; none where it has no such metadata."""
    try:
        info = json.loads((schema.metadata or {}).get(HUGGING_FACE, b"{}")).get("info") or {}
        return dict(info.get("features") or {})
    except (ValueError, AttributeError, TypeError):
        return {}


def written_metadata(table: StoredTable, features: dict[str, Any]) -> dict[bytes, bytes]:
    """The metadata of a published schema."""
    described = {"info": {"features": features}}
    return {
        HUGGING_FACE: json.dumps(described, ensure_ascii=False).encode(),
        OURS: table.model_dump_json().encode(),
    }
