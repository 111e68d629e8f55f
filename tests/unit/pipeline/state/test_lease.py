"""The lease: one run at a time on a private place; a dead holder is replaced, a living one never."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.state import lease
from pipeline.state.lease import Lease, now
from pipeline.state.lease_record import LeaseHolder, boot, holder_of, swapping
from schemas.errors import LeaseError, StoreError, TransientError
from stages.io.store import failures
from stages.io.store.disk import Disk
from stages.io.store.providers import PROVIDERS
from stages.io.store.store import Store
from tests.servers import BreakingProxy, S3Server


@pytest.fixture
def work(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "private"))


def hold(work: Store, **fields: object) -> LeaseHolder:
    """Leave a lease behind, as a run that was killed does."""
    found = {"run": "0123456789abcdef", "host": "elsewhere", "boot": "another", "process": 1, "beat": 3} | fields
    holder = LeaseHolder.model_validate(found)
    work.write("lease.json", holder.model_dump_json().encode())
    return holder


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_it_is_held_while_it_is_open_and_given_back_afterwards(work: Store) -> None:
    assert holder_of(work) is None
    with Lease(work) as mine:
        holder = holder_of(work)
        assert holder is not None
        assert (holder.run, holder.process, holder.boot) == (mine.run, os.getpid(), boot())
        mine.check()
    assert holder_of(work) is None


def test_it_is_given_back_when_the_run_fails(work: Store) -> None:
    with pytest.raises(StoreError), Lease(work):
        raise StoreError("the run failed")
    assert holder_of(work) is None
    with Lease(work) as next_one:
        next_one.check()


def test_it_beats(work: Store) -> None:
    with Lease(work, heartbeat=0.02):
        first = holder_of(work)
        wait_until(lambda: (holder_of(work) or first).beat > first.beat)


def test_a_second_run_is_refused_while_the_first_beats(work: Store) -> None:
    with Lease(work, heartbeat=0.05) as first:
        with pytest.raises(LeaseError) as error, Lease(work, heartbeat=0.05, expiry=5):
            pytest.fail("two runs hold one lease")
        assert error.value.exit_code == 4
        for word in (work.join("lease.json"), first.run[:8], str(os.getpid()), "wait until it ends", "another `work`"):
            assert word in error.value.message
        first.check()
        holder = holder_of(work)
        assert holder is not None
        assert holder.run == first.run


def test_a_dead_process_of_this_machine_is_replaced_without_watching(
    work: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(work, boot=boot(), process=dead_process())
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: pytest.fail("it was watched"))
    with Lease(work, heartbeat=60) as mine:
        holder = holder_of(work)
        assert holder is not None
        assert holder.run == mine.run


def test_a_living_process_that_does_not_beat_is_replaced_after_the_expiry(work: Store) -> None:
    """Its number was given to another program since."""
    hold(work, boot=boot(), process=os.getppid())
    with Lease(work, heartbeat=0.02, expiry=0.2) as mine:
        holder = holder_of(work)
        assert holder is not None
        assert holder.run == mine.run


@pytest.mark.parametrize("process", [1, 99_999_999])
def test_a_holder_elsewhere_is_judged_by_its_beat_and_not_by_its_process_number(work: Store, process: int) -> None:
    stop = threading.Event()

    def beat() -> None:
        number = 4
        while not stop.wait(0.02):
            hold(work, process=process, beat=number)
            number += 1

    hold(work, process=process)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(LeaseError, match="works here"), Lease(work, heartbeat=0.1, expiry=10):
            pytest.fail("a living run was replaced")
    finally:
        stop.set()
        thread.join()
    with Lease(work, heartbeat=0.02, expiry=0.2):  # now it stands still
        pass


def test_a_lease_that_is_given_back_while_it_is_watched_is_taken(work: Store) -> None:
    hold(work)
    timer = threading.Timer(0.2, lambda: work.delete("lease.json"))
    timer.start()
    with Lease(work, heartbeat=0.05, expiry=60) as mine:
        mine.check()
    timer.join()


def test_a_run_whose_lease_was_taken_over_stops_and_leaves_it_to_the_other(work: Store) -> None:
    with Lease(work, heartbeat=0.02) as mine:
        other = hold(work)
        wait_until(lambda: mine.lost)
        with pytest.raises(LeaseError, match="took the lease over; this one stops"):
            mine.check()
    assert holder_of(work) == other


def test_of_many_that_start_at_once_exactly_one_gets_it(work: Store) -> None:
    got: list[str] = []
    ready, done = threading.Barrier(8), threading.Barrier(8)

    def try_it() -> None:
        ready.wait()
        try:
            with Lease(work, heartbeat=0.05, expiry=5) as mine:
                got.append(mine.run)
                done.wait()
        except LeaseError:
            done.wait()

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_a_lease_that_cannot_be_read_is_refused_with_a_remedy(work: Store) -> None:
    work.write("lease.json", b"{}")
    with pytest.raises(LeaseError, match=r"lease.json: cannot be read .*; remove it"), Lease(work):
        pytest.fail("a broken lease was taken for none")


def test_a_store_that_fails_at_the_end_does_not_hide_how_the_run_ended(work: Store, tmp_path: Path) -> None:
    held = Lease(work)
    held.__enter__()
    held.stop.set()
    held.thread.join()
    work.delete("lease.json")
    (tmp_path / "private").rmdir()
    (tmp_path / "private").write_text("no directory any more")
    with pytest.raises(StoreError):
        holder_of(work)
    held.__exit__(None, None, None)


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A private place that compares and swaps, of each kind."""
    if request.param == "disk":
        return Store(str(tmp_path / "private"))
    s3: S3Server = request.getfixturevalue("s3")
    return Store(f"{s3.bucket()}/private", s3.storage)


def test_a_disk_and_s3_compare_and_swap(place: Store) -> None:
    assert swapping(place)
    assert place.list() == []


def test_a_store_of_an_unknown_protocol_is_not_trusted_to_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PROVIDERS, "memory")
    assert not swapping(Store("memory://none-here/private"))


def test_of_eight_that_find_a_dead_run_exactly_one_takes_over(place: Store) -> None:
    hold(place)
    got: list[str] = []
    ready, done = threading.Barrier(8), threading.Barrier(8)

    def try_it() -> None:
        ready.wait()
        try:
            with Lease(place, heartbeat=0.05, expiry=1) as mine:
                got.append(mine.run)
                done.wait()
        except LeaseError:
            done.wait()

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_a_beat_that_comes_too_late_does_not_take_the_lease_back(work: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was sent while the lease was still this run's, and arrives when it is another's."""
    sent, arrive = threading.Event(), threading.Event()

    def late(verb: str) -> Callable[..., object]:
        on_time = getattr(Disk, verb)

        def write(disk: Disk, name: str, data: bytes, *more: object) -> object:
            if threading.current_thread().name == "mtlue-lease":
                sent.set()
                arrive.wait()
            return on_time(disk, name, data, *more)

        return write

    for verb in ("write", "replace"):
        monkeypatch.setattr(Disk, verb, late(verb))
    with Lease(work, heartbeat=0.02) as mine:
        sent.wait()
        other = hold(work)
        arrive.set()
        wait_until(lambda: bool(mine.lost))
    assert holder_of(work) == other


def test_an_error_that_nobody_foresaw_does_not_end_the_heartbeat(work: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    on_time, failed = Disk.replace, []

    def fails_twice(disk: Disk, name: str, data: bytes, etag: str) -> str | None:
        if threading.current_thread().name == "mtlue-lease" and len(failed) < 2:
            failed.append(name)
            raise RuntimeError("a fault of some library")
        return on_time(disk, name, data, etag)

    with Lease(work, heartbeat=0.02) as mine:
        monkeypatch.setattr(Disk, "replace", fails_twice)
        wait_until(lambda: len(failed) == 2)
        beat = mine.beat
        wait_until(lambda: mine.beat > beat)
        mine.check()


@pytest.fixture
def out_of_reach(work: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Call it with True and no request is answered any more; with False, and they are again."""
    monkeypatch.setattr(failures, "PATIENCE_SECONDS", 0.01)
    on_time, away = Disk.replace, threading.Event()

    def unanswered(disk: Disk, name: str, data: bytes, etag: str) -> str | None:
        if away.is_set():
            raise TimeoutError(errno.ETIMEDOUT, "no answer")
        return on_time(disk, name, data, etag)

    monkeypatch.setattr(Disk, "replace", unanswered)
    yield lambda gone: away.set() if gone else away.clear()
    away.clear()


def test_a_run_whose_beats_do_not_get_through_writes_nothing_once_the_lease_has_expired(
    work: Store, out_of_reach: Callable[[bool], None]
) -> None:
    with Lease(work, heartbeat=0.05, expiry=1) as mine:
        guarded = work.guarded(mine.token)
        guarded.write("a", b"")
        out_of_reach(True)
        wait_until(lambda: now() - mine.beaten > 1)
        with pytest.raises(TransientError, match=r"lease.json: cannot replace"):
            guarded.write("b", b"")
        assert work.stat("b") is None
        out_of_reach(False)
        guarded.write("b", b"")  # the store itself says that nobody else was there


def test_a_run_that_was_out_of_reach_while_another_took_over_stops(
    work: Store, out_of_reach: Callable[[bool], None]
) -> None:
    with Lease(work, heartbeat=0.05, expiry=1) as mine:
        out_of_reach(True)
        wait_until(lambda: now() - mine.beaten > 1)
        other = hold(work)
        out_of_reach(False)
        with pytest.raises(LeaseError, match="another run took the lease over; this one stops"):
            work.guarded(mine.token).write("b", b"")
    assert holder_of(work) == other
    assert work.stat("b") is None


STANDS_STILL = """
import sys, time
from pipeline.state.lease import Lease
from schemas.errors import LeaseError
from stages.io.store.store import Store
work = Store(sys.argv[1])
try:
    with Lease(work, heartbeat=0.1, expiry=1) as lease:
        guarded = work.guarded(lease.token)
        for number in range(10_000):
            guarded.write("counted", b"%d" % number)
            time.sleep(0.05)
except LeaseError as error:
    print(error)
    sys.exit(4)
"""


def test_a_process_that_was_stopped_for_longer_than_the_lease_lasts_writes_nothing_when_it_goes_on(work: Store) -> None:
    process = subprocess.Popen([sys.executable, "-c", STANDS_STILL, work.url], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: work.stat("counted") is not None)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.1)
    before = int(work.read("counted"))
    time.sleep(2)
    os.kill(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "stood still for" in out
    assert "this one stops" in out
    assert int(work.read("counted")) <= before + 1, "more than the one write that was under way"


def test_a_worker_asks_the_store_whether_its_run_still_holds_the_lease(work: Store) -> None:
    script = (
        "import pickle, sys; store = pickle.load(sys.stdin.buffer)\n"
        "from schemas.errors import LeaseError\n"
        "try: store.write(sys.argv[1], b'')\n"
        "except LeaseError as error: sys.exit(4)"
    )

    def write(store: Store, name: str) -> int:
        return subprocess.run([sys.executable, "-c", script, name], input=pickle.dumps(store)).returncode

    with Lease(work) as mine:
        guarded = work.guarded(mine.token)
        assert write(guarded, "in-time") == 0
    assert write(guarded, "ended") == 4
    hold(work)
    assert write(guarded, "taken-over") == 4
    assert [entry.name for entry in work.list()] == ["in-time", "lease.json"]


def test_where_nothing_can_be_swapped_the_last_to_take_over_holds_it_and_a_silent_run_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(PROVIDERS, "memory")
    work = Store(f"memory://{uuid.uuid4().hex}/private")
    hold(work)
    with Lease(work, heartbeat=0.05, expiry=1) as mine:
        wait_until(lambda: mine.beat > 0)
        mine.check()
        other = hold(work)
        wait_until(lambda: bool(mine.lost))
        with pytest.raises(LeaseError, match="took the lease over"):
            mine.check()
    assert holder_of(work) == other
    hold(work)
    with Lease(work, heartbeat=0.05, expiry=1) as mine:
        with mine.lock:
            mine.beaten -= 2
        with pytest.raises(LeaseError, match="no beat got through"):
            mine.check()


def test_a_lease_on_a_store_that_overlooks_conditions_is_known_by_its_probe(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = Overlooking(s3.endpoint_url)
    try:
        assert not swapping(Store(f"{s3.bucket()}/private", deaf.storage))
    finally:
        deaf.close()


class Overlooking(BreakingProxy):
    """A store of the years before conditional writes: `If-Match` means nothing to it."""

    def lines(self, head: bytes) -> list[bytes]:
        return [line for line in super().lines(head) if not line.lower().startswith(b"if-match")]
