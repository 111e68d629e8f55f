"""The lease: one run at a time on a `work` prefix.

A small object is created exclusively and rewritten every few seconds with a growing number. Another run that finds it
watches that number on its own clock, so clocks need not agree. While the number grows the lease is live; when it stands
still the holder is dead. No watching is needed where the holder's process number means something here (same machine,
same container) and no such process is left.

Every change of the object is a compare-and-swap where the store has one (a local disk, etags on S3 and Azure,
generations on Google Cloud Storage): a beat that comes too late is refused, and so is the second of two runs that take
over. Where the store has none (`swapping` tries it), the last writer wins. A run that takes over looks again after a
pause. A holder beats only while the request will be over before others may take the lease. A request that the network
delivers after its end can then still displace another run, which notices at its next beat and stops.

The run that holds the lease asks `check` before everything that it writes; its workers ask a `Token`.
"""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Self

from pipeline.state.lease_record import LeaseHolder, holder_of, look, swapping
from pipeline.state.places import LEASE
from schemas.errors import LeaseError, MtlueError
from stages.io.store.store import Entry, Store

HEARTBEAT_SECONDS = 5.0
EXPIRY_SECONDS = 30.0
SEEN_SECONDS = 0.1
"""So old may be what was read of the lease when something is written: thousands of small deletions share one look."""

TIMEOUTS = 6
"""Requests that must be able to time out, one after the other, within an expiry."""


def now() -> float:
    """Seconds on a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """Context manager: holds the lease of a `work` prefix while it is open.

    Args:
        work: the private place.
        heartbeat: seconds between two beats.
        expiry: seconds without a beat after which a lease is taken over.

    Raises:
        LeaseError: another run holds it and is alive.
    """

    def __init__(self, work: Store, *, heartbeat: float | None = None, expiry: float | None = None) -> None:
        self.heartbeat, self.expiry = heartbeat or HEARTBEAT_SECONDS, expiry or EXPIRY_SECONDS
        self.work, self.hasty = work, work.hasty(self.expiry / TIMEOUTS)
        self.run = uuid.uuid4().hex
        self.beat = 0
        self.entry = Entry(LEASE, 0, "")
        """The lease as this run wrote it last."""
        self.swaps = True
        """Whether the store compares and swaps."""
        self.beaten = self.awake = now()
        """When the last beat that got through was begun, and when this process was last seen to run."""
        self.seen = 0.0
        """When the lease was last read, and was this run's."""
        self.lost = ""
        """Why the lease is no longer this run's."""
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=self._keep, name="mtlue-lease", daemon=True)

    def __enter__(self) -> Self:
        self.swaps = swapping(self.work)
        self.beaten = now()
        if not self.work.create(LEASE, self._mine()):
            self._take_over()
        found = look(self.work)
        if found is None or found[0].run != self.run:
            raise LeaseError(f"{self.work.join(LEASE)}: another run was faster; wait until it ends")
        self.entry, self.awake = found[1], now()
        _held[self.run] = self
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join(self.expiry)
        _held.pop(self.run, None)
        with suppress(MtlueError), self.lock:  # what the run ends with says more; a lease that stays expires
            if not self.lost:
                self._write(self._mine(ended=True), self.hasty)

    @property
    def token(self) -> Token:
        """What this run's stores ask before they change anything, here and in its workers."""
        return Token(self.work, self.run)

    def check(self) -> None:
        """Make sure that the lease is still this run's; called before anything is written.

        When no beat got through for as long as the lease lasts, a store that swaps is asked once more, patiently: it
        knows whether somebody else was there meanwhile. A process that stood still itself stops in any case: what it
        was about to write then was checked too long ago.

        Raises:
            LeaseError: another run has taken the lease over, or may have done so.
            TransientError: the store has been out of reach for minutes.
        """
        with self.lock:
            self._notice_standstill()
            if not self.lost and now() - self.beaten > self.expiry:
                self._renew(self.work)
            if not self.lost and now() - self.seen > SEEN_SECONDS:
                self._confirm()
            if self.lost:
                raise LeaseError(f"{self.work.join(LEASE)}: {self.lost}; this one stops")

    def _mine(self, *, ended: bool = False) -> bytes:
        return LeaseHolder.me(self.run, self.beat, ended=ended).model_dump_json().encode()

    def _take_over(self) -> None:
        """Write this run into the lease of one that is dead or has ended."""
        found = look(self.work)
        if found is not None and not found[0].ended and not self._dead(found[0]):
            raise LeaseError(
                f"{self.work.join(LEASE)}: run {found[0].run[:8]} on {found[0].host} (process {found[0].process}) "
                "works here; wait until it ends, or give this run another `work`"
            )
        there = look(self.work)
        self.beaten = now()
        if there is None:
            self.work.create(LEASE, self._mine())
        elif not there[0].ended and (found is None or there[0] != found[0]):
            return  # another was faster
        elif self.swaps:
            self.work.replace(LEASE, self._mine(), there[1])
        else:
            self.work.write(LEASE, self._mine())
            time.sleep(self.heartbeat)  # others that take over write now

    def _dead(self, found: LeaseHolder) -> bool:
        if found.surely_dead:
            return True
        deadline = now() + self.expiry
        while now() < deadline:
            time.sleep(min(1.0, self.heartbeat))
            holder = holder_of(self.work)
            if holder != found:
                return holder is None  # it ended and gave the lease back
        return True

    def _keep(self) -> None:
        while not self.stop.wait(self.heartbeat) and not self.lost:
            if self.lock.acquire(blocking=False):  # else `check` is at it
                # Whatever went wrong, the next beat may get through; until then `check` knows the time.
                try:
                    with suppress(Exception):
                        self._notice_standstill()
                        if not self.lost:
                            self.awake = now()
                            self._renew(self.hasty)
                finally:
                    self.lock.release()
            if not self.lost:
                self.awake = now()

    def _notice_standstill(self) -> None:
        """A process that was stopped for longer than the lease lasts has lost it, whoever has it now."""
        stood = now() - self.awake
        if stood > self.expiry:
            self.lost = f"this process stood still for {stood:.0f} s, longer than a lease lasts ({self.expiry:.0f} s)"

    def _renew(self, store: Store) -> None:
        """One beat. Its number counts only when it got through: a repetition must write the same bytes."""
        if not self.swaps:
            holder = holder_of(store)
            if holder is None or holder.run != self.run:
                self.lost = "another run took the lease over"
                return
        started = now()
        if not self.swaps and started - self.beaten > self.expiry * (1 - 2 / TIMEOUTS):
            self.lost = f"no beat got through for {started - self.beaten:.0f} s, and others may have taken it over"
            return
        self.beat += 1
        try:
            through = self._write(self._mine(), store)
        except BaseException:
            self.beat -= 1
            raise
        self.beaten = started if through else self.beaten
        self.lost = "" if through else "another run took the lease over"

    def _confirm(self) -> None:
        """See that the lease is still as this run left it: nobody should take it before it expires, but can."""
        if not self.swaps or self.work.stat(LEASE) != self.entry:
            found = look(self.work)
            if found is None or found[0].run != self.run:
                self.lost = "another run took the lease over"
                return
            self.entry = found[1]  # a beat whose answer was lost
        self.seen = now()

    def _write(self, data: bytes, store: Store) -> bool:
        """Write the lease if it is still as this run left it."""
        if not self.swaps:
            store.write(LEASE, data)
            return True
        new = store.replace(LEASE, data, self.entry)
        self.entry = new or self.entry
        return new is not None


_held: dict[str, Lease] = {}
"""Leases of this process by run: a token asks them rather than the store."""


class Token:
    """A run's right to write, asked where its lease may not be: in its workers. Picklable.

    Args:
        work: the private place.
        run: the run that holds its lease.
    """

    def __init__(self, work: Store, run: str) -> None:
        self.work, self.run = work, run

    def check(self) -> None:
        """Raise LeaseError when the lease is another run's by now, or nobody's."""
        lease = _held.get(self.run)
        if lease is not None:
            lease.check()
            return
        holder = holder_of(self.work)
        if holder is None or holder.run != self.run:
            raise LeaseError(f"{self.work.join(LEASE)}: the run that began this job holds the lease no more; it stops")
