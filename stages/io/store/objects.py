"""The back end of a store: single attempts, without retries, that raise their library's own errors; and checksums."""

from __future__ import annotations

import filecmp
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias


@dataclass(frozen=True)
class Entry:
    """One object as its store shows it."""

    name: str
    """Path below the store's root."""
    size: int
    """Bytes."""
    etag: str
    """Changes when the content does: the store's etag without quotes; modification time in ns on a local disk."""


DANGLING = "dangling"
"""Etag of a symbolic link that leads nowhere, on a local disk."""

Entries: TypeAlias = list[Entry]
"""What `list` returns; inside a class with a verb of that name `list[…]` would mean the verb."""


class Guard(Protocol):
    """Asked before every change of a store; picklable, as it goes with the store to the workers."""

    def check(self) -> None:
        """Raise when the one who wants to write may do so no more."""


class Objects(Protocol):
    """Objects below one root; every `name` is relative to it and was checked before."""

    def list(self, prefix: str) -> Entries:
        """Every object whose name starts with `prefix`, in any order."""

    def stat(self, name: str) -> Entry | None:
        """The object as it is now; None when it does not exist."""

    def read(self, name: str) -> bytes:
        """The object's bytes; it must fit into memory."""

    def download(self, name: str, path: Path) -> None:
        """Write the object to a local file, from its first byte."""

    def upload(self, path: Path, name: str) -> None:
        """Publish a local file: the whole object appears at once, or nothing does."""

    def write(self, name: str, data: bytes) -> None:
        """Publish bytes: the whole object appears at once, or nothing does."""

    def create(self, name: str, data: bytes, token: str) -> bool:
        """Publish bytes unless the object exists; of several writers exactly one gets True.

        `token` is the caller's own. It is stored beside the object where a request may be repeated below this layer:
        then the repetition's conflict is not taken for another writer.
        """

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Publish bytes in place of the object that has this etag; of several writers at most one gets through.

        Returns:
            The new object's etag, None when the object is another by now or is gone.

        Raises:
            NotImplementedError: the store cannot tell; nothing was written.
        """

    def delete(self, name: str) -> None:
        """Remove the object; it is no error when it does not exist."""

    def sweep(self) -> None:
        """Remove what writers who died left unfinished, where the store shows such things."""

    def expected_etag(self, path: Path) -> str:
        """The etag that `path` gets from an upload when the store's etags are checksums; empty when they are not."""

    def public(self) -> str:
        """How everybody can reach the objects, in words; empty when nobody can, or when the store does not tell."""


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
