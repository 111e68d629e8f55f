"""Stores: a few verbs over the objects below one URL, verified and retried, on any storage that fsspec reaches."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from schemas.dataset import Storage
from schemas.errors import ConfigError, StoreError, TransientError
from schemas.secrets import holds_password, scrub
from stages.io.store import failures
from stages.io.store.disk import Disk
from stages.io.store.failpoints import reached
from stages.io.store.failures import WRITING, retried
from stages.io.store.objects import Entries, Entry, Guard, Objects, same_bytes
from stages.io.store.providers import PROVIDERS
from stages.io.store.remote import READ_TIMEOUT_SECONDS, Remote
from stages.io.store.urls import LOCAL, checked_name, format_url, places_overlap, split_url

__all__ = ["Entry", "Store", "places_overlap"]

T = TypeVar("T")


class Store:
    """Objects below one URL: a path, `file://`, `s3://`, `gs://`, `az://`, `hf://` or `memory://`.

    Picklable; the connection is made on first use in each process, never carried over a fork. Credentials come from the
    environment. A root that is not there yet is a store without objects; the first object makes it.

    >>> store = Store("memory://example")
    >>> store.write("a/b.txt", b"text").size
    4
    >>> [entry.name for entry in store.list()]
    ['a/b.txt']

    Every verb raises:
        StoreError: permanent: missing, forbidden, wrong credentials, no bucket, read-only. Says what to do.
        TransientError: timeouts, 5xx answers and broken connections that outlasted the retries.
    """

    def __init__(
        self,
        url: str,
        storage: Storage = Storage(),
        *,
        anon: bool = False,
        guard: Guard | None = None,
        timeout: float = READ_TIMEOUT_SECONDS,
        patience: float | None = None,
    ) -> None:
        """Root a store at `url`.

        Args:
            url: the root; a relative path is taken from the current directory, now.
            storage: how it is reached; its `anon` is not read here.
            anon: read without credentials.
            guard: asked before every attempt to change something; goes with the store into other processes.
            timeout: seconds without a sign of life after which a request counts as failed.
            patience: seconds that transient failures are waited out; None: minutes once the store has answered.

        Raises:
            ConfigError: the URL names no place, or it or the endpoint holds a password.
        """
        self._protocol, self._root = split_url(url)
        if storage.endpoint_url and holds_password(storage.endpoint_url):
            raise ConfigError(
                f"endpoint_url {scrub(storage.endpoint_url)}: the URL held a user name and a password; credentials "
                "come only from environment variables (S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
            )
        self._storage = storage
        self._anon = anon
        self._guard = guard
        self._timeout = timeout
        self._patience = patience
        self._answered = False
        self._opened: tuple[int, Objects] | None = None

    def guarded(self, guard: Guard) -> Store:
        """The same place, changed only while `guard` agrees."""
        return self._twin(self.url, guard=guard)

    def hasty(self, timeout: float) -> Store:
        """The same place for those who cannot wait: short requests, one attempt, asking no guard."""
        return self._twin(self.url, guard=None, timeout=timeout, patience=0.0)

    def below(self, folder: str) -> Store:
        """A store of its own in a folder of this one, under the same guard."""
        return self._twin(self.join(folder))

    @property
    def url(self) -> str:
        """The root, without a slash at the end; absolute on a local disk."""
        return format_url(self._protocol, self._root)

    def join(self, name: str) -> str:
        """The full URL of an object."""
        return f"{self.url.rstrip('/')}/{name}"

    def list(self, prefix: str = "") -> Entries:
        """Every object whose name starts with `prefix`, at any depth, sorted by name; a missing bucket is an error."""
        entries = self._attempt("list", prefix, lambda objects, _: objects.list(prefix))
        return sorted(entries, key=lambda entry: entry.name)

    def stat(self, name: str) -> Entry | None:
        """The object as it is now; None when it does not exist."""
        return self._attempt("look up", checked_name(name), lambda objects, _: objects.stat(name))

    def read(self, name: str) -> bytes:
        """The bytes of a small object."""
        return self._attempt("read", checked_name(name), lambda objects, _: objects.read(name))

    def get(self, name: str, path: Path, *, etag: str | None = None) -> Entry:
        """Download an object to the local file `path`; nothing is left there when it fails.

        Every attempt starts from the first byte. The length must be the one that the store lists, and the object must
        be the same before and after.

        Args:
            etag: what the object had when it was listed; one that changed since is a StoreError.
        """
        if not path.parent.is_dir():
            raise StoreError(f"{self.join(name)}: cannot download to {path}: its directory does not exist; create it")

        def download(objects: Objects, _: int) -> Entry:
            entry = objects.stat(name)
            if entry is None:
                raise StoreError(f"{self.join(name)}: cannot download: there is no such object; check the name")
            if etag is not None and entry.etag != etag:
                raise StoreError(f"{self.join(name)}: it changed since it was listed; run again when nobody writes it")
            objects.download(name, path)
            size = path.stat().st_size
            if size != entry.size:
                raise TransientError(f"{self.join(name)}: {size} of {entry.size} bytes arrived")
            if objects.stat(name) != entry:
                raise TransientError(f"{self.join(name)}: the object changed while it was downloaded")
            return entry

        try:
            return self._attempt("download", checked_name(name), download)
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise

    def put(self, path: Path, name: str) -> Entry:
        """Publish the local file `path` as a whole, or not at all; an object of that name is replaced.

        Afterwards the store's size must be the file's, and so must its etag where that is a checksum. An S3 store that
        encrypts has other etags: there the object is read back and compared.
        """
        if not path.is_file():
            raise StoreError(f"{self.join(name)}: cannot upload {path}: there is no such file")

        def upload(objects: Objects, _: int) -> Entry:
            objects.upload(path, name)
            entry = objects.stat(name)
            size = path.stat().st_size
            if entry is None or entry.size != size:
                found = "nothing" if entry is None else f"{entry.size} bytes"
                raise TransientError(f"{self.join(name)}: {size} bytes were uploaded, the store shows {found}")
            expected = objects.expected_etag(path)
            if expected and expected != entry.etag and not same_bytes(objects, name, path):
                raise TransientError(f"{self.join(name)}: the store's bytes differ from those of {path}")
            return entry

        return self._attempt("upload", checked_name(name), upload)

    def write(self, name: str, data: bytes) -> Entry:
        """Publish a small object as a whole, or not at all; one of that name is replaced."""

        def write(objects: Objects, _: int) -> Entry:
            objects.write(name, data)
            entry = objects.stat(name)
            if entry is None:
                raise TransientError(f"{self.join(name)}: {len(data)} bytes were written, the store shows nothing")
            return entry

        return self._attempt("write", checked_name(name), write)

    def create(self, name: str, data: bytes) -> bool:
        """Publish a small object unless one of that name exists; of several writers exactly one gets True."""
        token = uuid.uuid4().hex

        def create(objects: Objects, attempt: int) -> bool:
            if objects.create(name, data, token):
                return True
            # The answer to an earlier attempt may have been lost after it had done its work.
            with suppress(FileNotFoundError):
                return attempt > 0 and objects.read(name) == data
            return False

        return self._attempt("create", checked_name(name), create)

    def replace(self, name: str, data: bytes, old: Entry) -> Entry | None:
        """Publish a small object in place of `old`, unless it is another by now; of several writers one gets through.

        Args:
            data: nobody else's and never the same again: a writer whose answer was lost knows its work by it.
            old: the object as it was.

        Returns:
            The new object; None when `old` is there no more.

        Raises:
            NotImplementedError: this store, or its file system, has no way to do it; nothing was written.
        """

        def replace(objects: Objects, _: int) -> Entry | None:
            etag = objects.replace(name, data, old.etag)
            if etag is not None:
                return Entry(name, len(data), etag)
            there = objects.stat(name)  # ours, when an earlier answer was lost or aiohttp repeated the request
            with suppress(FileNotFoundError):
                if there is not None and objects.read(name) == data and objects.stat(name) == there:
                    return there
            return None

        return self._attempt("replace", checked_name(name), replace)

    def delete(self, name: str) -> None:
        """Remove an object; it is no error when it does not exist."""
        self._attempt("delete", checked_name(name), lambda objects, _: objects.delete(name))

    def sweep(self) -> None:
        """Remove what writers who died left unfinished; what others write at this moment stays."""
        self._attempt("delete", "", lambda objects, _: objects.sweep())

    def public(self) -> str:
        """How everybody can reach the objects, in words; empty when nobody can, or when the store does not tell."""
        return self._attempt("look up", "", lambda objects, _: objects.public())

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[str, Storage, dict[str, Any]]]:
        # A worker knows what the driver knows: whether the address is right.
        return _restored, (self.url, self._storage, {**self._settings, "patience": self._waits()})

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    @property
    def _settings(self) -> dict[str, Any]:
        return {"anon": self._anon, "guard": self._guard, "timeout": self._timeout, "patience": self._patience}

    def _twin(self, url: str, **changes: Any) -> Store:
        return Store(url, self._storage, **{**self._settings, **changes})

    def _objects(self) -> Objects:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._connect())
        return self._opened[1]

    def _connect(self) -> Objects:
        if self._protocol == LOCAL:
            return Disk(self._root)
        provider = PROVIDERS.get(self._protocol, Remote)
        return provider(self._protocol, self._root, self._storage, anon=self._anon, timeout=self._timeout)

    def _attempt(self, doing: str, name: str, action: Callable[[Objects, int], T]) -> T:
        url = self.join(name) if name else self.url

        def attempt(number: int) -> T:
            reached(f"before {doing} {url}")
            result = action(self._objects(), number)
            reached(f"after {doing} {url}")
            return result

        result = retried(
            attempt,
            doing=doing,
            url=url,
            endpoint=self._endpoint(),
            patience=self._waits(),
            before=self._guard.check if self._guard is not None and doing in WRITING else lambda: None,
        )
        self._answered = True
        return result

    def _waits(self) -> float:
        """Seconds that a transient failure is waited out."""
        if self._patience is not None:
            return self._patience
        return failures.PATIENCE_SECONDS if self._answered else failures.FIRST_PATIENCE_SECONDS

    def _endpoint(self) -> str:
        """Where the store answers and as whom, for messages; empty when there is no choice."""
        if self._protocol == LOCAL:
            return ""
        endpoint = (self._protocol == "s3" and self._storage.endpoint_url) or "the provider's endpoint"
        return f"{scrub(endpoint)} without credentials" if self._anon else scrub(endpoint)


def _restored(url: str, storage: Storage, settings: dict[str, Any]) -> Store:
    """A store that was pickled."""
    return Store(url, storage, **settings)
