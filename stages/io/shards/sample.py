"""One sample as it is stored: its key and its members, and their names; nothing in it was decoded."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
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


OnStray = Callable[[str], None]
"""Called with the name of each member that belongs to no sample."""


@dataclass
class Strays:
    """Counts the members that belong to no sample; `add` is an `OnStray`."""

    count: int = 0
    first: str = ""

    def add(self, name: str) -> None:
        """Count one member."""
        self.first = self.first or name
        self.count += 1


_METADATA = re.compile(r"__[^/]*__")
"""Basename of a member that webdataset takes for metadata of the shard."""

_SYSTEM = re.compile(r"(?:__[^/]*__/|(?:.*/)?__MACOSX/)")
"""Folders whose members belong to no sample: those that webdataset ignores, and what macOS adds to an archive."""


def unsafe_name(name: str) -> str | None:
    """Why `name` must not be the name of a member that somebody will unpack; None when it may."""
    if not name or "\0" in name:
        return "is empty or contains a NUL byte"
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:/", name):
        return "is an absolute path or contains a backslash"
    if ".." in name.split("/"):
        return "leads out of its directory (`..`)"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return None


def is_metadata(name: str) -> bool:
    """Whether a member is metadata of the whole shard by its name, such as `__index__`."""
    return _METADATA.fullmatch(name.rpartition("/")[2]) is not None


def key_and_field(name: str) -> tuple[str, str] | None:
    """Key and field of a member; None where it belongs to no sample: no text on both sides of the basename's first dot.

    >>> key_and_field("sub.dir/b.seg.png")
    ('sub.dir/b', 'seg.png')
    >>> key_and_field(".DS_Store"), key_and_field("d/._b.jpg"), key_and_field("README")
    (None, None, None)
    """
    directory, slash, basename = name.rpartition("/")
    stem, _, rest = basename.partition(".")
    if not stem or not rest or is_metadata(name) or _SYSTEM.match(name):
        return None
    return f"{directory}{slash}{stem}", rest


def same_key(key: str) -> str:
    """The one spelling of a key: accents composed (NFC), no steps `.` in its path; equal keys are one sample.

    macOS writes accents apart (NFD), and tars of one dataset may mix both.
    """
    return "/".join(step for step in unicodedata.normalize("NFC", key).split("/") if step not in {"", "."})


def key_hash(key: str) -> bytes:
    """8 bytes that stand for a key where all keys of a shard are remembered."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
