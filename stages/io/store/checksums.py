"""Whether bytes are the same: checksums of local files, and objects read back."""

from __future__ import annotations

import filecmp
import hashlib
from pathlib import Path

from stages.io.store.objects import Objects


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_bytes(objects: Objects, name: str, path: Path) -> bool:
    """Read an object back and compare it with the local file that was uploaded."""
    copy = path.with_name(f".{path.name}.readback")
    try:
        objects.download(name, copy)
        return filecmp.cmp(path, copy, shallow=False)
    finally:
        copy.unlink(missing_ok=True)
