"""The lease as it is stored: who holds it, how it is read, and whether its store can swap it."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError as PydanticError

from pipeline.state.places import LEASE, PROBE
from schemas.errors import LeaseError, StoreError, TransientError
from schemas.records import Record
from stages.io.store.store import Entry, Store


class LeaseHolder(Record):
    """Who holds the lease."""

    run: str
    host: str
    boot: str
    """Identifies one start of one machine and the container on it: a process number means something only within it."""
    process: int
    beat: int
    """Grows while the holder lives."""
    ended: bool = False
    """The run gave the lease back. The object stays: one that is removed may be another's by then."""

    @classmethod
    def me(cls, run: str, beat: int, *, ended: bool = False) -> LeaseHolder:
        """This process, as holder for a run."""
        return cls(run=run, host=socket.gethostname(), boot=boot(), process=os.getpid(), beat=beat, ended=ended)

    @property
    def surely_dead(self) -> bool:
        """No such process is left. A living one of that number proves nothing: numbers are given again."""
        if self.boot != boot():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def boot() -> str:
    """What `LeaseHolder.boot` holds for this process."""
    path, processes = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    start = path.read_text().strip() if path.exists() else socket.gethostname()
    return f"{start} {os.readlink(processes)}" if processes.is_symlink() else start


def holder_of(work: Store) -> LeaseHolder | None:
    """Who holds the lease; None when nobody does.

    Raises:
        LeaseError: the object is no lease.
    """
    if work.stat(LEASE) is None:
        return None
    holder = _parsed(work, work.read(LEASE))
    return None if holder.ended else holder


def look(work: Store) -> tuple[LeaseHolder, Entry] | None:
    """Who holds the lease or held it last, with the very object that says so; None when there is none."""
    for _ in range(10):
        entry = work.stat(LEASE)
        if entry is None:
            return None
        with suppress(StoreError):  # removed meanwhile
            data = work.read(LEASE)
            if work.stat(LEASE) == entry:
                return _parsed(work, data), entry
    raise TransientError(f"{work.join(LEASE)}: it changes faster than it can be read; start again")


def swapping(work: Store) -> bool:
    """Whether the place compares and swaps, found out by replacing an object under an etag that it does not have.

    A store that does not know the condition refuses the request, or overlooks the condition and writes.
    """
    work.write(PROBE, b"")
    try:
        return work.replace(PROBE, uuid.uuid4().bytes, Entry(PROBE, 0, "0" * 32)) is None
    except (NotImplementedError, StoreError):
        return False
    finally:
        work.delete(PROBE)


def _parsed(work: Store, data: bytes) -> LeaseHolder:
    try:
        return LeaseHolder.model_validate_json(data)
    except PydanticError as error:
        raise LeaseError(f"{work.join(LEASE)}: cannot be read ({error.error_count()} problems); remove it") from None
