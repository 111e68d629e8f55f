"""The lease: one run at a time on a `work` prefix.

A small object is created exclusively and rewritten every few seconds with a growing number. Whoever finds it watches
that number on its own clock, so clocks need not agree: while it moves the lease is live, when it stands still the
holder is dead. Only where the holder's process number means something here (same machine, same container) and no such
process is left, nothing needs to be watched.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError as PydanticError

from pipeline.state.places import LEASE
from schemas.errors import LeaseError, MtlueError
from schemas.records import Record
from stages.io.store.store import Store

HEARTBEAT_SECONDS = 5.0
EXPIRY_SECONDS = 30.0


class LeaseHolder(Record):
    """Who holds the lease."""

    run: str
    host: str
    boot: str
    """Identifies one start of one machine and the container on it: a process number means something only within it."""
    process: int
    beat: int
    """Grows while the holder lives."""


def boot() -> str:
    """What `LeaseHolder.boot` holds for this process."""
    path, processes = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    start = path.read_text().strip() if path.exists() else socket.gethostname()
    return f"{start} {os.readlink(processes)}" if processes.is_symlink() else start


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Lease:
    """Context manager: holds the lease of a `work` prefix while it is open.

    Args:
        work: the private place.
        heartbeat: seconds between two beats.
        expiry: seconds without a beat after which a lease is taken over.

    Raises:
        LeaseError: another run holds it and is alive.
    """

    def __init__(self, work: Store, *, heartbeat: float = HEARTBEAT_SECONDS, expiry: float = EXPIRY_SECONDS) -> None:
        self.work = work
        self.heartbeat = heartbeat
        self.expiry = expiry
        self.run = uuid.uuid4().hex
        self.beat = 0
        self.stop = threading.Event()
        self.lost = False
        self.thread = threading.Thread(target=self._keep, name="mtlue-lease", daemon=True)

    def __enter__(self) -> Self:
        if not self.work.create(LEASE, self._mine()):
            self._take_over()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()
        with suppress(MtlueError):  # what the run ends with says more; a lease that stays expires
            holder = holder_of(self.work)
            if holder is not None and holder.run == self.run:
                self.work.delete(LEASE)

    def check(self) -> None:
        """Raise LeaseError when another run has taken the lease over; called before anything is published."""
        if self.lost:
            raise LeaseError(f"{self.work.join(LEASE)}: another run took the lease over; this one stops")

    def _mine(self) -> bytes:
        return (
            LeaseHolder(run=self.run, host=socket.gethostname(), boot=boot(), process=os.getpid(), beat=self.beat)
            .model_dump_json()
            .encode()
        )

    def _take_over(self) -> None:
        found = holder_of(self.work)
        if found is not None and not self._dead(found):
            raise LeaseError(
                f"{self.work.join(LEASE)}: run {found.run[:8]} on {found.host} (process {found.process}) works here; "
                "wait until it ends, or give this run another `work`"
            )
        if holder_of(self.work) == found:
            self.work.delete(LEASE)
        if not self.work.create(LEASE, self._mine()):
            raise LeaseError(f"{self.work.join(LEASE)}: another run was faster; wait until it ends")

    def _dead(self, found: LeaseHolder) -> bool:
        # A living process of that number proves nothing: numbers are given again.
        if found.boot == boot() and not _alive(found.process):
            return True
        deadline = time.monotonic() + self.expiry
        while time.monotonic() < deadline:
            time.sleep(min(1.0, self.heartbeat))
            now = holder_of(self.work)
            if now != found:
                return now is None  # it ended and gave the lease back
        return True

    def _keep(self) -> None:
        while not self.stop.wait(self.heartbeat):
            try:
                holder = holder_of(self.work)
                if holder is None or holder.run != self.run:
                    self.lost = True
                    return
                self.beat += 1
                self.work.write(LEASE, self._mine())
            except MtlueError:
                continue  # the next beat may get through; until then the expiry runs


def holder_of(work: Store) -> LeaseHolder | None:
    """Who holds the lease; None when nobody does."""
    if work.stat(LEASE) is None:
        return None
    try:
        return LeaseHolder.model_validate_json(work.read(LEASE))
    except PydanticError as error:
        raise LeaseError(f"{work.join(LEASE)}: cannot be read ({error.error_count()} problems); remove it") from None
