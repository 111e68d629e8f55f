"""One sample as it is stored: its key and its members; nothing in it was decoded."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass

_CONTROLS = bytes([*range(1, 9), *range(14, 32), *range(127, 160)])
"""Bytes that no text of Latin-1 has."""


NamedBytes = list[tuple[str, bytes]]
"""Names and bytes of a sample's members; a name is `<key>.<field>`."""

Label = tuple[str, int | float | None]
"""Name and value of a column of labels; None: the sample has none."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a sample."""

    field: str
    """What follows the first dot of the basename: `jpg`, `json`, `seg.png`."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample as it is stored; nothing in it was decoded."""

    key: str
    """Path up to the first dot of the basename, directories included."""
    members: tuple[Member, ...]
    """In the order stored."""
    image: str | None = None
    """Field of the image where the reader knows it (a Parquet column); None: one of `dataset.image`."""
    row: int = 0
    """Number of its row in a Parquet file, from 0."""
    labels: tuple[Label, ...] = ()
    """Name and value of each column of labels that mtlue added to a Parquet file of its own."""


def text_of(data: bytes) -> str | None:
    """The text that a member holds; None when it is binary."""
    try:
        return None if b"\0" in data else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def text_in_another_encoding(data: bytes) -> str | None:
    """The text that a member holds in UTF-16, UTF-32 or Latin-1, as far as that can be seen; None when it is binary."""
    if b"\0" not in data:
        strange = len(data) - len(data.translate(None, _CONTROLS))
        return data.decode("latin-1") if strange * 100 <= len(data) else None
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not marked and not data[:4].strip(b"\0").startswith((b"{", b"[")):
        return None
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        return None
