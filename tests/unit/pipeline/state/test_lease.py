"""The lease: one run at a time on a private place; a dead holder is replaced, a living one never."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.state import lease
from pipeline.state.lease import Lease, LeaseHolder, boot, holder_of
from schemas.errors import LeaseError, StoreError
from stages.io.store.store import Store


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
    assert work.list() == []


def test_it_is_given_back_when_the_run_fails(work: Store) -> None:
    with pytest.raises(StoreError), Lease(work):
        raise StoreError("the run failed")
    assert work.list() == []


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
        mine.check()


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


def test_a_lease_that_cannot_be_read_is_refused_with_the_mend(work: Store) -> None:
    work.write("lease.json", b"{}")
    with pytest.raises(LeaseError, match=r"lease.json: cannot be read .*; remove it"), Lease(work):
        pytest.fail("a broken lease was taken for none")


def test_a_store_that_fails_at_the_end_does_not_hide_how_the_run_ended(work: Store, tmp_path: Path) -> None:
    held = Lease(work)
    held.__enter__()
    work.delete("lease.json")
    (tmp_path / "private").rmdir()
    (tmp_path / "private").write_text("no directory any more")
    with pytest.raises(StoreError):
        holder_of(work)
    held.__exit__(None, None, None)
