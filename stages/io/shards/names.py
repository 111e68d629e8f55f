"""Names of members and keys: how they part, which are the same, which are safe to publish."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

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
"""Folders whose members belong to no sample: those that webdataset passes by, and what macOS adds to an archive."""


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
