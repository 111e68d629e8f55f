"""Objects in an object store, through fsspec; never opened for writing, which may publish a part."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from schemas.dataset import Storage
from schemas.errors import ConfigError
from stages.io.store.failures import is_conflict, library_errors, store_code
from stages.io.store.objects import Entries, Entry

PART_BYTES = 16 << 20
"""Size of an upload's part; s3fs' own 50 MiB × 10 parts cost half a gigabyte of memory for each upload."""

CONNECT_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 60.0

_EXTRAS = {"gs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "adl": "azure"}
"""Protocol → extra of this package that installs what it needs."""

_STRANGERS = {"AllUsers": "everybody", "AuthenticatedUsers": "everybody who has an account of this provider"}
"""Groups of S3's ACLs."""


class Remote:
    """Objects below `bucket/prefix` of one store; see `Objects` for the verbs.

    Build it in the process that uses it: fsspec's asynchronous file systems do not survive a fork. Errors are those of
    fsspec and the store's library, after a single attempt (`stages.io.store.failures` tells them apart and retries).
    """

    def __init__(
        self, protocol: str, root: str, storage: Storage, *, anon: bool, timeout: float = READ_TIMEOUT_SECONDS
    ) -> None:
        self.protocol = protocol
        self.root = root
        self._files = _file_system(protocol, storage, anon=anon, timeout=timeout)

    def list(self, prefix: str) -> Entries:
        """Every object whose name starts with `prefix`, always asked for afresh."""
        directory, _, stem = prefix.rpartition("/")
        base = f"{self.root}/{directory}" if directory else self.root
        options = {"prefix": stem} if stem and self.protocol in {"s3", "gs"} else {}
        try:
            found = self._files.find(base, detail=True, **options)
        except FileNotFoundError as error:
            if self.protocol == "s3" or store_code(error) == "NoSuchBucket":
                raise  # a prefix without objects is empty on S3: only the bucket can be missing
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
        target = f"{self.root}/{name}"
        if self.protocol == "s3":
            part_bytes = _part_bytes(path.stat().st_size)
            self._files.put_file(str(path), target, chunksize=part_bytes, max_concurrency=4)
        elif self.protocol == "memory":  # its put_file is not atomic
            self._files.pipe_file(target, path.read_bytes())
        else:
            self._files.put_file(str(path), target)

    def write(self, name: str, data: bytes) -> None:
        """Put bytes in one request."""
        self._files.pipe_file(f"{self.root}/{name}", data)

    def create(self, name: str, data: bytes, token: str) -> bool:
        """Put bytes on condition that the object does not exist.

        aiohttp repeats a PUT by itself when the connection breaks before the answer. Then the conflict is with our own
        first request, which the token in the object's metadata shows.
        """
        target = f"{self.root}/{name}"
        options = {"Metadata": {"writer": token}} if self.protocol == "s3" else {}
        try:
            self._files.pipe_file(target, data, mode="create", **options)
        except library_errors() as error:
            if not is_conflict(error):
                raise
        else:
            return True
        with suppress(FileNotFoundError):  # deleted since: it was another's
            return self.protocol == "s3" and self._files.metadata(target).get("writer") == token
        return False

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Put bytes on condition that the object has this etag (`If-Match`); S3 alone offers it here."""
        if self.protocol != "s3":
            raise NotImplementedError
        try:
            answer = self._files.pipe_file(f"{self.root}/{name}", data, IfMatch=f'"{etag}"')
        except library_errors() as error:
            if store_code(error) == "NotImplemented":
                raise NotImplementedError from error
            if is_conflict(error) or store_code(error) == "NoSuchKey":
                return None
            raise
        return str(answer["ETag"]).strip('"')

    def delete(self, name: str) -> None:
        """Delete the object."""
        try:
            self._files.rm_file(f"{self.root}/{name}")
        except FileNotFoundError as error:
            if store_code(error) == "NoSuchBucket":
                raise
        except KeyError:  # the memory file system's way to say that there is none
            return

    def sweep(self) -> None:
        """Nothing: a store shows no half-written object, and its lifecycle rule removes the parts of broken uploads."""

    def expected_etag(self, path: Path) -> str:
        """S3's etag of an upload: the MD5 of the bytes, or of the parts' MD5s and their count. Elsewhere empty."""
        if self.protocol != "s3":
            return ""
        size = path.stat().st_size
        part_bytes = _part_bytes(size)
        with path.open("rb") as file:
            if size < 2 * part_bytes:  # s3fs puts it in one request
                return hashlib.file_digest(file, _md5).hexdigest()
            digests = [_md5(part).digest() for part in iter(lambda: file.read(part_bytes), b"")]
        return f"{_md5(b''.join(digests)).hexdigest()}-{len(digests)}"

    def public(self) -> str:
        """How an S3 bucket is open to strangers: by its ACL or policy, unless a block on public access overrides them.

        What these credentials may not ask, and what a store does not know, counts as closed.
        """
        if self.protocol != "s3":
            return ""

        def asked(what: str, key: str) -> Any:
            try:
                return self._files.call_s3(what, Bucket=self.root.partition("/")[0]).get(key) or {}
            except library_errors():
                return {}

        block = asked("get_public_access_block", "PublicAccessBlockConfiguration")
        if not block.get("IgnorePublicAcls"):
            for grant in asked("get_bucket_acl", "Grants"):
                group = grant.get("Grantee", {}).get("URI", "").rpartition("/")[2]
                if group in _STRANGERS:
                    return f"the bucket's ACL grants {grant['Permission']} to {_STRANGERS[group]}"
        if not block.get("RestrictPublicBuckets") and asked("get_bucket_policy_status", "PolicyStatus").get("IsPublic"):
            return "the bucket's policy makes it public"
        return ""

    def _entry(self, info: dict[str, Any]) -> Entry:
        name = info["name"].lstrip("/").removeprefix(f"{self.root}/")
        etag = info.get("ETag") or info.get("etag") or info.get("created") or ""
        if hasattr(etag, "timestamp"):  # memory:// shows a datetime here and a number in its listings
            etag = etag.timestamp()
        return Entry(name, int(info["size"]), str(etag).strip('"'))


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def _part_bytes(size: int) -> int:
    """Bytes of each part of an upload of `size` bytes: S3 takes 10,000 parts at most."""
    return max(PART_BYTES, -(-size // 10_000))


def _file_system(protocol: str, storage: Storage, *, anon: bool, timeout: float) -> Any:
    """Build the file system: no listing cache, no shared instance, no retries of its own."""
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if protocol == "s3":
        options |= {
            "anon": anon,
            "endpoint_url": storage.endpoint_url,
            "max_concurrency": 1,  # reads are one stream each: shards are read side by side
            "config_kwargs": {
                "connect_timeout": min(timeout, CONNECT_TIMEOUT_SECONDS),
                "read_timeout": timeout,
                "retries": {"total_max_attempts": 1},
            },
        }
    elif anon:
        options |= {"token": "anon"} if protocol == "gs" else {"anon": True}
    try:
        files = fsspec.filesystem(protocol, **options)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"; pip install 'mtlue[{extra}]'" if extra else ""
        raise ConfigError(f"{protocol}:// needs a package that is not installed: {error}{remedy}") from error
    except (TypeError, ValueError) as error:  # TypeError: it wants settings that a configuration has no key for
        raise ConfigError(f"{protocol}:// is no store that can be reached ({error}); use s3, gs or az") from error
    if protocol == "s3":
        files.retries = 1
    return files
