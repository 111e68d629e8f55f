"""Stores on a local disk and in memory: whole objects or none, named errors, places that overlap."""

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.dataset import Storage
from schemas.errors import ConfigError, LeaseError, StoreError, UnwritableError
from stages.io.store.objects import DANGLING
from stages.io.store.store import Entry, Store, places_overlap


@pytest.fixture(params=["path", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind; its root does not exist yet."""
    urls = {
        "path": f"{tmp_path}/root",
        "file": f"file://{tmp_path}/root",
        "memory": f"memory://{uuid.uuid4().hex}/root",
    }
    return Store(urls[request.param])


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root"))


def names(store: Store, prefix: str = "") -> list[str]:
    return [entry.name for entry in store.list(prefix)]


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """Let every file that grows past `size` bytes fail, for root as well."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_a_file_comes_back_from_a_store_as_it_was_put(store: Store, tmp_path: Path, size: int) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(size))
    entry = store.put(source, "a/b/shard.tar")
    assert (entry.name, entry.size) == ("a/b/shard.tar", size)
    assert store.get("a/b/shard.tar", back) == entry
    assert back.read_bytes() == source.read_bytes() == store.read("a/b/shard.tar")


def test_the_listing_and_a_look_up_show_the_same_entry_as_the_write(store: Store) -> None:
    written = store.write("a.txt", b"text")
    assert store.list() == [written]
    assert store.stat("a.txt") == written


def test_the_listing_is_recursive_and_sorted_by_name(store: Store) -> None:
    for name in ("b.tar", "a/z.tar", "a.tar", "a/b/c.tar", "a-b.tar"):
        store.write(name, b"")
    assert names(store) == ["a-b.tar", "a.tar", "a/b/c.tar", "a/z.tar", "b.tar"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("a/", ["a/b/c.tar", "a/z.tar"]), ("a", ["a.tar", "a/b/c.tar", "a/z.tar"]), ("a/b", ["a/b/c.tar"]), ("c", [])],
)
def test_a_prefix_is_the_start_of_a_name_and_not_a_directory(store: Store, prefix: str, expected: list[str]) -> None:
    for name in ("b.tar", "a/z.tar", "a.tar", "a/b/c.tar"):
        store.write(name, b"")
    assert names(store, prefix) == expected


def test_a_root_that_does_not_exist_is_an_empty_store(store: Store) -> None:
    assert store.list() == []
    assert store.list("a/b") == []
    assert store.stat("a") is None


def test_a_directory_is_no_object(store: Store) -> None:
    store.write("a/b", b"")
    assert store.stat("a") is None


def test_a_write_replaces_the_object_and_changes_its_etag(store: Store) -> None:
    entries = [store.write("a", data) for data in (b"1", b"2", b"3")]
    assert store.read("a") == b"3"
    assert len({entry.etag for entry in entries}) == 3


def test_create_leaves_an_existing_object_alone_even_when_the_bytes_are_the_same(store: Store) -> None:
    assert store.create("lease", b"first")
    assert not store.create("lease", b"second")
    assert not store.create("lease", b"first")
    assert store.read("lease") == b"first"


def test_of_eight_writers_that_create_one_file_exactly_one_wins(local: Store) -> None:
    barrier, won = threading.Barrier(8), []

    def create(number: int) -> None:
        barrier.wait()
        if local.create("lease", b"%d" % number * 100_000):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert local.read("lease") == b"%d" % won[0] * 100_000
    assert names(local) == ["lease"]


def test_an_object_is_replaced_only_while_it_is_the_one_that_was_seen(local: Store) -> None:
    first = local.write("lease", b"first")
    second = local.replace("lease", b"second", first)
    assert second is not None
    assert second == local.stat("lease")
    assert local.replace("lease", b"third", first) is None
    assert local.read("lease") == b"second"
    local.delete("lease")
    assert local.replace("lease", b"fourth", second) is None
    assert local.list() == []


def test_of_eight_writers_that_replace_one_file_exactly_one_wins(local: Store) -> None:
    old = local.write("lease", b"old")
    barrier, won = threading.Barrier(8), []

    def replace(number: int) -> None:
        barrier.wait()
        if local.replace("lease", b"%d" % number * 100_000, old):
            won.append(number)

    threads = [threading.Thread(target=replace, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert local.read("lease") == b"%d" % won[0] * 100_000
    assert names(local) == ["lease"]


class Refuses:
    """A guard that says no."""

    def check(self) -> None:
        raise LeaseError("no longer yours")


def test_a_guard_is_asked_before_every_change_and_goes_into_other_processes(local: Store, tmp_path: Path) -> None:
    old = local.write("a/b", b"text")
    (tmp_path / "new").write_bytes(b"new")
    guarded = local.guarded(Refuses())
    for store in (guarded, pickle.loads(pickle.dumps(guarded)), guarded.below("a")):  # noqa: S301
        name = "b" if store.url.endswith("a") else "a/b"
        for change in (
            lambda store=store, name=name: store.write(name, b"new"),
            lambda store=store: store.create("new", b"new"),
            lambda store=store, name=name: store.put(tmp_path / "new", name),
            lambda store=store, name=name: store.delete(name),
            lambda store=store, name=name: store.replace(name, b"new", old),
        ):
            with pytest.raises(LeaseError):
                change()
        assert store.read(name) == b"text"
    assert local.list() == [old]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_write_any_more_is_told_apart_from_one_bad_shard(
    local: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    local.write("a", b"text")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(UnwritableError, match=os.strerror(number)) as caught:
        local.write("a", b"new")
    assert caught.value.ends_run
    assert caught.value.exit_code == (2 if number == errno.EROFS else 1)
    assert local.read("a") == b"text"
    assert names(local) == ["a"]


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: Store) -> None:
    store.write("a", b"")
    store.delete("a")
    store.delete("a")
    assert store.list() == []


def test_what_is_missing_is_a_store_error_that_names_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"root/nope\.tar"):
        store.read("nope.tar")
    with pytest.raises(StoreError, match=r"root/nope\.tar"):
        store.get("nope.tar", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    with pytest.raises(StoreError, match=r"nope\.png"):
        store.put(tmp_path / "nope.png", "a")


def test_a_download_to_a_directory_that_does_not_exist_blames_the_directory(store: Store, tmp_path: Path) -> None:
    store.write("a", b"")
    with pytest.raises(StoreError, match=r"nowhere/back: its directory does not exist"):
        store.get("a", tmp_path / "nowhere/back")


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../../b", "a//b", "a/", "./a"])
def test_a_name_that_leads_out_of_the_root_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="cannot name an object"):
        store.write(name, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_store_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = Store(str(tmp_path / "file/root"))
    for attempt in (
        lambda: store.write("a", b""),
        lambda: store.create("a", b""),
        lambda: store.put(tmp_path / "file", "a"),
    ):
        with pytest.raises(StoreError, match="a file stands where a directory is needed"):
            attempt()


def test_a_put_that_fails_midway_leaves_the_old_object_and_nothing_else(local: Store, tmp_path: Path) -> None:
    local.write("a.tar", b"old")
    (tmp_path / "new").write_bytes(b"new" * 1_000_000)
    with disk_full_after(1_000_000), pytest.raises(StoreError, match=r"a\.tar: cannot upload: File too large"):
        local.put(tmp_path / "new", "a.tar")
    assert local.read("a.tar") == b"old"
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["a.tar"]


def test_a_download_that_fails_midway_leaves_no_part(local: Store, tmp_path: Path) -> None:
    local.write("a.tar", b"a" * 3_000_000)
    with disk_full_after(1_000_000), pytest.raises(StoreError, match="File too large"):
        local.get("a.tar", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("verb", ["write", "create"])
def test_a_process_killed_while_it_writes_leaves_nothing_in_the_listing(local: Store, verb: str) -> None:
    script = (
        "import resource, signal, sys; from stages.io.store.store import Store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"Store(sys.argv[1]).{verb}('a/b.tar', b'x' * 5000)"
    )
    killed = subprocess.run([sys.executable, "-c", script, local.url], cwd=Path(__file__).parents[5])
    assert killed.returncode == -signal.SIGXFSZ
    assert len(list(Path(local.url, "a").iterdir())) == 1  # the part that was being written
    assert local.list() == []
    assert local.stat("a/b.tar") is None


def test_published_files_follow_the_umask(local: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"")
    (tmp_path / "source").chmod(0o600)
    before = os.umask(0o027)
    try:
        local.put(tmp_path / "source", "a")
        local.create("b", b"")
    finally:
        os.umask(before)
    assert [Path(local.join(name)).stat().st_mode & 0o777 for name in ("a", "b")] == [0o640, 0o640]


def test_linked_directories_are_listed_and_a_link_into_itself_ends(local: Store, tmp_path: Path) -> None:
    local.write("a/b.tar", b"")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/c.tar").write_bytes(b"")
    Path(local.join("linked")).symlink_to(tmp_path / "elsewhere")
    Path(local.join("a/loop")).symlink_to(local.url)
    assert names(local) == ["a/b.tar", "a/loop/linked/c.tar", "linked/c.tar"]


def test_a_link_that_leads_nowhere_is_listed_as_one(local: Store, tmp_path: Path) -> None:
    local.write("a.tar", b"")
    Path(local.join("b.tar")).symlink_to(tmp_path / "gone.tar")
    Path(local.join("c.tar")).symlink_to(local.join("c.tar"))
    found = [(entry.name, entry.etag == DANGLING) for entry in local.list()]
    assert found == [("a.tar", False), ("b.tar", True), ("c.tar", True)]


def test_a_pickled_store_keeps_its_place_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("data")
    store.write("a", b"text")
    pickled = pickle.dumps(store)
    monkeypatch.chdir("/")
    assert pickle.loads(pickled).read("a") == b"text"  # noqa: S301


def test_urls_are_absolute_and_without_a_slash_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store("data/").url == f"{tmp_path}/data"
    assert Store(f"file://{tmp_path}/data/").join("a/b.tar") == f"{tmp_path}/data/a/b.tar"
    assert Store("s3://raw/train/").join("a.tar") == "s3://raw/train/a.tar"
    assert Store("s3a://raw").url == "s3://raw"
    assert Store("/").join("a") == "/a"


@pytest.mark.parametrize("url", ["", "s3://", "file://", "simplecache::s3://raw/a"])
def test_a_url_that_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="write"):
        Store(url)


@pytest.mark.parametrize(("protocol", "extra"), [("gs", "gcs"), ("gcs", "gcs"), ("az", "azure"), ("abfs", "azure")])
def test_a_package_that_is_missing_is_named_with_the_extra_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, protocol: str, extra: str
) -> None:
    def missing(*arguments: object, **options: object) -> None:
        raise ImportError("Please install it")

    monkeypatch.setattr("fsspec.filesystem", missing)
    with pytest.raises(ConfigError, match=rf"pip install 'mtlue\[{extra}\]'"):
        Store(f"{protocol}://bucket/a").list()


@pytest.mark.parametrize("url", ["s3://AKIAKEY:hidden@bucket/a", "s3://AKIAKEY:hid/den@bucket", "gs://u:hidden@b/c"])
def test_a_url_with_a_password_is_refused_and_the_password_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="held a user name and a password; credentials come only from") as error:
        Store(url)
    for word in ("hidden", "hid/den", "AKIAKEY"):
        assert word not in str(error.value)
    for word in ("hidden", "AKIAKEY"):
        with pytest.raises(ConfigError, match="endpoint_url") as error:
            Store("s3://bucket/a", Storage(endpoint_url="https://AKIAKEY:hid/den@store:9000"))
        assert word not in str(error.value)
    Store("s3://bucket/a:b/c@d")


def test_a_download_of_what_changed_since_it_was_listed_is_refused(store: Store, tmp_path: Path) -> None:
    listed = store.write("a.tar", b"first")
    store.write("a.tar", b"other")
    with pytest.raises(StoreError, match=r"a\.tar: it changed since it was listed; run again"):
        store.get("a.tar", tmp_path / "back", etag=listed.etag)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("protocol", ["warp", "webhdfs"])  # the second wants a host as a setting
def test_a_protocol_that_cannot_be_used_is_refused_by_name(protocol: str) -> None:
    with pytest.raises(ConfigError, match=f"{protocol}:// is no store that can be reached"):
        Store(f"{protocol}://host/x").list()


def test_an_entry_is_compared_by_its_values() -> None:
    assert Entry("a", 1, "e") == Entry("a", 1, "e") != Entry("a", 1, "f")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("s3://a", "s3://a/b"),
        ("s3://a/b/", "s3://a/b"),
        ("s3://a/b", "s3a://a/b/c"),
        ("s3://a//b", "s3://a/b"),
        ("out", "out/work"),
        ("./out", "{here}/out"),
        ("file://{here}/out", "out/../out/x"),
        ("{here}/link", "{here}/out/x"),
        ("/", "out"),
        ("memory://a", "memory:///a/b"),
        ("az://a/b", "abfs://a/b/c"),
        ("az://a/b", "abfss://a@account.dfs.core.windows.net/b"),
    ],
)
def test_places_of_which_one_holds_the_other_overlap(
    a: str, b: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    a, b = a.format(here=tmp_path), b.format(here=tmp_path)
    assert places_overlap(a, b)
    assert places_overlap(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [("s3://a/b", "s3://a/bc"), ("s3://a", "s3://ab"), ("s3://a/b", "gs://a/b"), ("out", "output"), ("/a", "s3://a")],
)
def test_places_that_only_look_alike_do_not_overlap(a: str, b: str) -> None:
    assert not places_overlap(a, b)
    assert not places_overlap(b, a)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV])
def test_of_several_writers_one_creates_an_object_where_there_are_no_hard_links(
    number: int, local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_link)
    together, made = threading.Barrier(8), []

    def create(writer: int) -> None:
        together.wait()
        if local.create("lease.json", bytes([writer]) * 1000):
            made.append(writer)

    threads = [threading.Thread(target=create, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert local.read("lease.json") == bytes(made) * 1000
    assert os.listdir(local.url) == ["lease.json"]


def test_a_disk_that_fails_in_another_way_than_for_want_of_links_is_an_error(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(UnwritableError, match="No space left"):
        local.create("lease.json", b"x")
    assert names(local) == []
