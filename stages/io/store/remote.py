"""Objects in an object store, through fsspec; never opened for writing, which may publish a part."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import fsspec

from schemas.dataset import Storage
from schemas.errors import ConfigError
from stages.io.store.failures import is_conflict, library_errors, store_code
from stages.io.store.objects import Entries, Entry

READ_TIMEOUT_SECONDS = 60.0

_EXTRAS = {"gs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "adl": "azure", "hf": "hf"}
"""Protocol → extra of this package that installs what it needs."""


class Remote:
    """Objects below `bucket/prefix` of one store; see `Objects` for the verbs.

    What a provider does in its own way is in a class of its own (`s3.py`, `providers.py`).

    Build it in the process that uses it: fsspec's asynchronous file systems do not survive a fork. Errors are those of
    fsspec and the store's library, after a single attempt (`stages.io.store.failures` tells them apart and retries).
    """

    empty_is_listed: ClassVar[bool] = False
    """Whether a prefix without objects gives an empty listing, and no error."""

    def __init__(
        self, protocol: str, root: str, storage: Storage, *, anon: bool, timeout: float = READ_TIMEOUT_SECONDS
    ) -> None:
        self.protocol = protocol
        self.root = root
        self._files = _file_system(protocol, self._options(storage, anon=anon, timeout=timeout))

    def _options(self, storage: Storage, *, anon: bool, timeout: float) -> dict[str, Any]:
        """What fsspec's file system of this protocol is built with."""
        return {"anon": True} if anon else {}

    def _starting_with(self, stem: str) -> dict[str, Any]:
        """What a listing is asked with, so that it gives names with this start alone; where the store cannot, all."""
        return {}

    def list(self, prefix: str) -> Entries:
        """Every object whose name starts with `prefix`, always asked for afresh."""
        directory, _, stem = prefix.rpartition("/")
        base = f"{self.root}/{directory}" if directory else self.root
        try:
            found = self._files.find(base, detail=True, **self._starting_with(stem))
        except FileNotFoundError as error:
            if self.empty_is_listed or store_code(error) == "NoSuchBucket":
                raise  # a prefix without objects is empty: only the bucket can be missing
            return []
        below = f"{self.root}/{prefix}"  # keys that end in a slash are consoles' stand-ins for directories
        infos = (info for info in found.values() if info["type"] == "file" and not info["name"].endswith("/"))
        return [self._entry(info) for info in infos if info["name"].lstrip("/").startswith(below)]

    def stat(self, name: str) -> Entry | None:
        """The object as it is now; None when it does not exist or is only a prefix of others."""
        try:
            info = self._files.info(f"{self.root}/{name}")
        except FileNotFoundError as error:
            if store_code(error) == "NoSuchBucket":
                raise
            return None
        return self._entry(info) if info["type"] == "file" else None

    def read(self, name: str) -> bytes:
        """The object's bytes."""
        return bytes(self._files.cat_file(f"{self.root}/{name}"))

    def download(self, name: str, path: Path) -> None:
        """Write the object to `path` in one stream."""
        self._files.get_file(f"{self.root}/{name}", str(path))

    def upload(self, path: Path, name: str) -> None:
        """Put a local file; a large one in parts that become visible together."""
        self._files.put_file(str(path), f"{self.root}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Put bytes in one request."""
        self._files.pipe_file(f"{self.root}/{name}", data)

    def create(self, name: str, data: bytes, token: str) -> bool:
        """Put bytes on condition that the object does not exist."""
        try:
            self._files.pipe_file(f"{self.root}/{name}", data, mode="create")
        except library_errors() as error:
            if not is_conflict(error):
                raise
            return False
        return True

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Not offered."""
        raise NotImplementedError

    def delete(self, name: str) -> None:
        """Delete the object."""
        try:
            self._files.rm_file(f"{self.root}/{name}")
        except FileNotFoundError as error:
            if store_code(error) == "NoSuchBucket":
                raise

    def sweep(self) -> None:
        """Nothing: a store shows no half-written object, and its lifecycle rule removes the parts of broken uploads."""

    def expected_etag(self, path: Path) -> str:
        """Empty: etags are no checksums here."""
        return ""

    def public(self) -> str:
        """Empty: unknown here."""
        return ""

    def _entry(self, info: dict[str, Any]) -> Entry:
        name = info["name"].lstrip("/").removeprefix(f"{self.root}/")
        return Entry(name, int(info["size"]), self._etag(info).strip('"'))

    def _etag(self, info: dict[str, Any]) -> str:
        """What changes when the object does."""
        return str(info.get("etag") or info.get("created") or "")


def _file_system(protocol: str, options: dict[str, Any]) -> Any:
    """Build the file system: no listing cache, no shared instance."""
    try:
        return fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"; pip install 'mtlue[{extra}]'" if extra else ""
        raise ConfigError(f"{protocol}:// needs a package that is not installed: {error}{remedy}") from error
    except (TypeError, ValueError) as error:  # TypeError: it wants settings that a configuration has no key for
        raise ConfigError(f"{protocol}:// is no store that can be reached ({error}); use s3, gs or az") from error
