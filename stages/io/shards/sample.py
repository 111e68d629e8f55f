"""One sample as it is stored: its key and its members; nothing in it was decoded."""

from __future__ import annotations

from dataclasses import dataclass


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


def text_of(data: bytes) -> str | None:
    """The text that a member holds; None when it is binary."""
    try:
        return None if b"\0" in data else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
