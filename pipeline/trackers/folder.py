"""The folder of one run in `work`: its log, its events as JSON lines and its curves; on a local disk they grow."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from pipeline.run.events import Event
from schemas.errors import StoreError, TransientError
from stages.io.store.store import Store
from stages.io.store.urls import LOCAL, split_url

FOLDER = "runs/"
"""Folder of `work`."""

LOG, LINES = "log.txt", "events.jsonl"
"""Names in a run's folder."""

KEPT = 30
"""Runs whose folders stay; older ones are removed when a run begins."""

SAVE_SECONDS = 60.0
"""Time between two uploads to an object store, at least."""

PATIENCE_SECONDS = 10.0
"""For one request of an upload: a run does not wait for its log."""

SHARE = 20
"""Uploading takes at most one in so many parts of a run's time: objects cannot grow, so each is sent as a whole."""


class RunFolder:
    """Local files that lie in `work`, or are copied there: at intervals, and when it is closed.

    Args:
        work: the private place.
    """

    def __init__(self, work: Store) -> None:
        self.name = f"{FOLDER}{time.strftime('%Y-%m-%dT%H-%M-%SZ', time.gmtime())}-{secrets.token_hex(3)}"
        self.work = work
        protocol, root = split_url(work.url)
        self.remote = protocol != LOCAL
        self.path = Path(tempfile.mkdtemp(prefix="mtlue-run-log-")) if self.remote else Path(root, self.name)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.saved, self.pause = time.monotonic(), SAVE_SECONDS
        _forget(work, KEPT)

    @property
    def url(self) -> str:
        """Where it lies."""
        return self.work.join(self.name)

    def save(self, *, last: bool = False) -> None:
        """Upload what grew, when the last time is long enough ago; a failure that may pass is left to the next time.

        Raises:
            StoreError, TransientError: the last time, or for good.
        """
        if not self.remote or (time.monotonic() - self.saved < self.pause and not last):
            return
        began = time.monotonic()
        store = self.work.hasty(PATIENCE_SECONDS)
        try:
            for path in sorted(self.path.iterdir()):
                store.put(path, f"{self.name}/{path.name}")
        except TransientError:
            if last:
                raise
        self.saved = time.monotonic()
        self.pause = max(SAVE_SECONDS, SHARE * (self.saved - began))

    def close(self) -> None:
        """Upload the rest."""
        try:
            self.save(last=True)
        finally:
            if self.remote:
                shutil.rmtree(self.path, ignore_errors=True)


def last_log(work: Store) -> str | None:
    """Where the log of the last run lies; None before the first."""
    names = [entry.name for entry in work.list(FOLDER) if entry.name.endswith(f"/{LOG}")]
    return work.join(max(names)) if names else None


def _forget(work: Store, kept: int) -> None:
    """Remove the folders of all but the last runs; what cannot be removed waits for the next run."""
    names = [entry.name for entry in work.list(FOLDER)]
    runs = sorted({name.split("/")[1] for name in names})
    old = set(runs[:-kept])
    with suppress(StoreError, TransientError):
        for name in names:
            if name.split("/")[1] in old:
                work.delete(name)


class JsonLines:
    """Appends each event to a file, at once: `tail -f` follows a run."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8")

    def hear(self, event: Event) -> None:
        """Write one line; empty fields are left out."""
        self.file.write(event.model_dump_json(exclude_defaults=True) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
