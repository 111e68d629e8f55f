"""The contract of a store, the same tests on every kind: S3, Google Cloud Storage, Azure, a local disk, memory."""

from __future__ import annotations

import os
import pickle
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.state.lease import Lease
from pipeline.state.lease_record import holder_of, swapping
from schemas.errors import LeaseError, StoreError
from stages.io.store.store import Entry, Store

KINDS = ("disk", "memory", "s3", "gcs", "azure")
WRITERS = 6


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store below a new bucket."""
    if request.param == "disk":
        return Store(str(tmp_path / "root"))
    if request.param == "memory":
        return Store(f"memory://{uuid.uuid4().hex}/root")
    server = request.getfixturevalue(request.param)
    return (
        Store(f"{server.bucket()}/root", server.storage) if request.param == "s3" else Store(f"{server.bucket()}/root")
    )


def names(store: Store, prefix: str = "") -> list[str]:
    return [entry.name for entry in store.list(prefix)]


def winners(write: Callable[[int], object]) -> list[int]:
    """Numbers of the writers that got through, of several that write at once."""
    barrier, won = threading.Barrier(WRITERS), list[int]()

    def attempt(number: int) -> None:
        barrier.wait()
        if write(number):
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # gcsfs hands aiohttp bytes
@pytest.mark.parametrize("size", [0, 1000, 20_000_000], ids=["empty", "small", "large"])
def test_a_file_comes_back_as_it_was_put_and_is_listed_as_it_is(store: Store, tmp_path: Path, size: int) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(size))
    entry = store.put(source, "a b/ключ #1.tar")
    assert entry.size == size
    assert store.list() == [entry] == [store.stat("a b/ключ #1.tar")]
    assert store.get("a b/ключ #1.tar", back, etag=entry.etag) == entry
    assert back.read_bytes() == source.read_bytes() == store.read("a b/ключ #1.tar")


def test_a_prefix_is_the_start_of_a_name_at_any_depth(store: Store) -> None:
    for name in ("a.tar", "a/b.tar", "a/c/d.tar", "ab/c.tar"):
        store.write(name, name.encode())
    assert names(store) == ["a.tar", "a/b.tar", "a/c/d.tar", "ab/c.tar"]
    assert names(store, "a/") == ["a/b.tar", "a/c/d.tar"]
    assert names(store, "a") == ["a.tar", "a/b.tar", "a/c/d.tar", "ab/c.tar"]
    assert names(store, "nothing/here") == []
    assert names(store.below("a")) == ["b.tar", "c/d.tar"]


def test_a_missing_object_is_none_or_a_named_error_and_leaves_no_file(store: Store, tmp_path: Path) -> None:
    store.write("there", b"x")
    assert store.stat("nope") is None
    assert store.stat("the") is None
    for attempt in (lambda: store.read("nope"), lambda: store.get("nope", tmp_path / "back")):
        with pytest.raises(StoreError, match="root/nope"):
            attempt()
    assert not (tmp_path / "back").exists()
    store.delete("nope")


def test_an_object_that_is_replaced_has_another_etag_and_is_not_read_as_the_old_one(
    store: Store, tmp_path: Path
) -> None:
    old = store.write("a", b"first")
    new = store.write("a", b"other")
    assert old.etag != new.etag == store.list()[0].etag
    assert store.read("a") == b"other"
    with pytest.raises(StoreError, match="changed since it was listed"):
        store.get("a", tmp_path / "back", etag=old.etag)
    store.delete("a")
    assert store.list() == []


def test_of_several_writers_that_create_one_object_exactly_one_wins(store: Store) -> None:
    store.list()  # connected before the race
    (won,) = winners(lambda number: store.create("lease", b"%d" % number))
    assert store.read("lease") == b"%d" % won
    assert not store.create("lease", b"late")


def test_an_object_is_replaced_only_while_it_is_the_one_that_was_seen(store: Store) -> None:
    first = store.write("lease", b"first")
    second = store.replace("lease", b"second", first)
    assert second is not None
    assert second == store.stat("lease")
    assert store.replace("lease", b"third", first) is None
    assert store.read("lease") == b"second"
    store.delete("lease")
    assert store.replace("lease", b"fourth", second) is None
    assert store.list() == []


def test_of_several_writers_that_replace_one_object_exactly_one_wins(store: Store) -> None:
    old = store.write("lease", b"old")
    (won,) = winners(lambda number: store.replace("lease", b"%d" % number, old))
    assert store.read("lease") == b"%d" % won


def test_the_lease_compares_and_swaps_and_a_second_run_is_refused(store: Store) -> None:
    assert swapping(store)
    with Lease(store, heartbeat=0.2, expiry=20.0) as lease:
        assert lease.swaps
        lease.check()
        with pytest.raises(LeaseError, match="works here"):
            # It sees the next beat, and does not wait for the end of its expiry.
            Lease(store, heartbeat=0.2, expiry=20.0).__enter__()
    assert holder_of(store) is None
    with Lease(store) as next_one:
        next_one.check()


def test_a_beat_that_comes_too_late_writes_nothing(store: Store) -> None:
    with Lease(store, heartbeat=60.0, expiry=120.0) as lease:
        other = store.replace("lease.json", lease._mine().replace(lease.run.encode(), b"other"), lease.entry)
        lease._renew(store)
        assert lease.lost
        assert store.stat("lease.json") == other


def test_a_store_goes_to_another_process(store: Store) -> None:
    store.write("a", b"text")
    twin: Store = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert isinstance(twin.stat("a"), Entry)
    assert twin.read("a") == b"text"
