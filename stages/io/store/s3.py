"""Objects on S3 and the many stores that speak its protocol."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from schemas.dataset import Storage
from stages.io.store.failures import is_conflict, library_errors, store_code
from stages.io.store.remote import Remote

PART_BYTES = 16 << 20
"""Size of an upload's part; s3fs' own 50 MiB × 10 parts cost half a gigabyte of memory for each upload."""

CONNECT_TIMEOUT_SECONDS = 10.0

_STRANGERS = {"AllUsers": "everybody", "AuthenticatedUsers": "everybody who has an account of this provider"}
"""Groups of S3's ACLs."""


class S3(Remote):
    """`s3://`; without retries of its own."""

    empty_is_listed = True

    def __init__(self, protocol: str, root: str, storage: Storage, *, anon: bool, timeout: float) -> None:
        super().__init__(protocol, root, storage, anon=anon, timeout=timeout)
        self._files.retries = 1

    def _options(self, storage: Storage, *, anon: bool, timeout: float) -> dict[str, Any]:
        return {
            "anon": anon,
            "endpoint_url": storage.endpoint_url,
            "max_concurrency": 1,  # reads are one stream each: shards are read side by side
            "config_kwargs": {
                "connect_timeout": min(timeout, CONNECT_TIMEOUT_SECONDS),
                "read_timeout": timeout,
                "retries": {"total_max_attempts": 1},
            },
        }

    def _starting_with(self, stem: str) -> dict[str, Any]:
        return {"prefix": stem} if stem else {}

    def upload(self, path: Path, name: str) -> None:
        """Put a local file; a large one in parts that become visible together."""
        part_bytes = _part_bytes(path.stat().st_size)
        self._files.put_file(str(path), f"{self.root}/{name}", chunksize=part_bytes, max_concurrency=4)

    def create(self, name: str, data: bytes, token: str) -> bool:
        """Put bytes on condition that the object does not exist.

        aiohttp repeats a PUT by itself when the connection breaks before the answer. Then the conflict is with our own
        first request, which the token in the object's metadata shows.
        """
        target = f"{self.root}/{name}"
        try:
            self._files.pipe_file(target, data, mode="create", Metadata={"writer": token})
        except library_errors() as error:
            if not is_conflict(error):
                raise
        else:
            return True
        with suppress(FileNotFoundError):  # deleted since: it was another's
            return bool(self._files.metadata(target).get("writer") == token)
        return False

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Put bytes on condition that the object has this etag (`If-Match`)."""
        try:
            answer = self._files.pipe_file(f"{self.root}/{name}", data, IfMatch=f'"{etag}"')
        except library_errors() as error:
            if store_code(error) == "NotImplemented":
                raise NotImplementedError from error
            if is_conflict(error) or store_code(error) == "NoSuchKey":
                return None
            raise
        return str(answer["ETag"]).strip('"')

    def expected_etag(self, path: Path) -> str:
        """S3's etag of an upload: the MD5 of the bytes, or of the parts' MD5s and their count."""
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

    def _etag(self, info: dict[str, Any]) -> str:
        return str(info.get("ETag") or "")


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def _part_bytes(size: int) -> int:
    """Bytes of each part of an upload of `size` bytes: S3 takes 10,000 parts at most."""
    return max(PART_BYTES, -(-size // 10_000))
