"""Temporary files: in one private directory, removed by the process that made it, or by the next when it was killed.

Raw images lie there. The directory holds a file that its process keeps locked; the kernel frees the lock of a process
that dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "mtlue-run-"
LOCK = ".lock"

PATIENCE_SECONDS = 10.0
"""How long the last writers are waited for."""


class Scratch:
    """A directory of mode 0700 for temporary files; those of dead processes are removed when it is made.

    Args:
        parent: where it is made; None is the system's place for temporary files (TMPDIR).

    >>> scratch = Scratch()
    >>> oct(os.stat(scratch.path).st_mode & 0o777)
    '0o700'
    >>> scratch.close()
    >>> os.path.exists(scratch.path)
    False
    """

    def __init__(self, parent: str | None = None) -> None:
        sweep(parent)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        new = Path(self.path, f"{LOCK}-new")
        self._lock = new.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(Path(self.path, LOCK))  # whoever finds it finds it locked

    def close(self) -> None:
        """Remove the directory, as soon as the last worker writes no more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while os.path.isdir(self.path) and time.monotonic() < deadline:
            shutil.rmtree(self.path, ignore_errors=True)
            if os.path.isdir(self.path):
                time.sleep(0.1)
        self._lock.close()


def sweep(parent: str | None = None) -> None:
    """Remove what processes of this user left behind that are no more."""
    for path in Path(parent or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # it lives, or is being made or removed at this moment
            continue
