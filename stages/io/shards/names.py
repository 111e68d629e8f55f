"""Names of members and keys: which are safe to publish, and how a shard remembers them."""

from __future__ import annotations

import hashlib
import re


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


def key_hash(key: str) -> bytes:
    """8 bytes that stand for a key where all keys of a shard are remembered."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
