"""The class of each protocol, and how Google Cloud Storage, Azure and memory write an object on a condition."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from typing import Any

from schemas.dataset import Storage
from stages.io.store.failures import is_conflict, library_errors, store_code
from stages.io.store.hub import Hub
from stages.io.store.remote import Remote
from stages.io.store.s3 import S3


class GoogleStorage(Remote):
    """`gs://`: conditions are on an object's generation, a number that every write changes."""

    def _options(self, storage: Storage, *, anon: bool, timeout: float) -> dict[str, Any]:
        return {"token": "anon"} if anon else {}

    def _starting_with(self, stem: str) -> dict[str, Any]:
        return {"prefix": stem} if stem else {}

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Put bytes on condition that the object has the generation that this etag belongs to."""
        bucket, _, key = f"{self.root}/{name}".partition("/")
        try:
            there = self._files.info(f"{bucket}/{key}")
            if self._entry(there).etag != etag:
                return None
            answer = self._files.call(
                "POST",
                f"{self._files._location}/upload/storage/v1/b/{bucket}/o",
                uploadType="multipart",
                ifGenerationMatch=str(there["generation"]),
                **_multipart(key, data),
                json_out=True,
            )
        except FileNotFoundError as error:
            if store_code(error) == "NoSuchBucket":
                raise
            return None
        except library_errors() as error:
            if is_conflict(error):
                return None
            raise
        return str(answer["etag"]).strip('"')


def _multipart(key: str, data: bytes) -> dict[str, Any]:
    """Headers and body of an upload in one request: a JSON part that names the object, and its bytes."""
    boundary = f"mtlue-{uuid.uuid4().hex}"
    named = f"Content-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps({'name': key})}\r\n"
    start = f"--{boundary}\r\n{named}--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
    body = start.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return {"headers": {"Content-Type": f'multipart/related; boundary="{boundary}"'}, "data": body}


class AzureBlobs(Remote):
    """`az://`: conditions are on etags (`If-Match`)."""

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Put bytes on condition that the object has this etag."""
        from azure.core import MatchConditions

        condition = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        try:
            answer = self._files.pipe_file(f"{self.root}/{name}", data, **condition)
        except library_errors() as error:
            if is_conflict(error) or store_code(error) == "BlobNotFound":
                return None
            raise
        return str(answer["etag"]).strip('"')


_MEMORY = threading.RLock()
"""Held while an object of `memory://` is looked at and written: it belongs to the threads of one process."""


class Memory(Remote):
    """`memory://`, for tests and examples."""

    def upload(self, path: Path, name: str) -> None:
        """Put the bytes: `put_file` of this file system shows a part of them."""
        self.write(name, path.read_bytes())

    def create(self, name: str, data: bytes, token: str) -> bool:
        """Put bytes unless the object exists."""
        with _MEMORY:
            return super().create(name, data, token)

    def replace(self, name: str, data: bytes, etag: str) -> str | None:
        """Put bytes while the object has this etag."""
        with _MEMORY:
            there = self.stat(name)
            if there is None or there.etag != etag:
                return None
            self.write(name, data)
            new = self.stat(name)
            return None if new is None else new.etag

    def delete(self, name: str) -> None:
        """Delete the object."""
        try:
            super().delete(name)
        except KeyError:  # its way to say that there is none
            return

    def _etag(self, info: dict[str, Any]) -> str:
        created = info["created"]  # a time here, a number in listings
        return str(created.timestamp() if hasattr(created, "timestamp") else created)


PROVIDERS: dict[str, type[Remote]] = {
    "abfs": AzureBlobs,
    "abfss": AzureBlobs,
    "adl": AzureBlobs,
    "az": AzureBlobs,
    "gs": GoogleStorage,
    "hf": Hub,
    "memory": Memory,
    "s3": S3,
}
"""Protocol → class; any other that fsspec knows is a plain `Remote`."""
