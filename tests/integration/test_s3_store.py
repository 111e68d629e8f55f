"""The store and the listing on a real S3 server: races, rights, broken connections, large objects."""

import os
import pickle
import threading
import warnings
from pathlib import Path

import pytest

from schemas.dataset import Storage
from schemas.errors import ConfigError, MtlueError, StoreError, TransientError
from stages.io.shards.listing import list_shards
from stages.io.store import failures
from stages.io.store.store import Store
from tests.servers import FULL, READ_ONLY, BreakingProxy, S3Server, free_port


@pytest.fixture
def store(s3: S3Server) -> Store:
    """An empty store below a new bucket."""
    return Store(f"{s3.bucket()}/root", s3.storage)


@pytest.fixture
def broken(store: Store, breaking: BreakingProxy, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The same store through a connection that breaks as told; it retries without long pauses, and not for long."""
    short_pauses(monkeypatch)
    return Store(store.url, breaking.storage)


def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(failures, "LONGEST_DELAY_SECONDS", 0.05)
    monkeypatch.setattr(failures, "FIRST_PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(failures, "PATIENCE_SECONDS", 5.0)


def become(monkeypatch: pytest.MonkeyPatch, key: str, secret: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


def names(store: Store, prefix: str = "") -> list[str]:
    return [entry.name for entry in store.list(prefix)]


@pytest.mark.parametrize("size", [0, 1000, 40_000_000])
def test_a_file_comes_back_from_s3_as_it_was_put(store: Store, tmp_path: Path, size: int) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(size))
    entry = store.put(source, "a/shard.tar")
    assert entry.size == size
    assert store.list() == [entry] == [store.stat("a/shard.tar")]
    assert store.get("a/shard.tar", back) == entry
    assert back.read_bytes() == source.read_bytes() == store.read("a/shard.tar")


def test_what_another_client_does_is_seen_at_once(s3: S3Server, store: Store) -> None:
    assert store.list() == []
    other = s3.client
    path = store.join("a.tar").removeprefix("s3://")
    other.pipe_file(path, b"first")
    assert names(store) == ["a.tar"]
    first = store.stat("a.tar")
    other.pipe_file(path, b"other")
    assert store.stat("a.tar") != first
    assert store.list() != [first]
    other.rm_file(path)
    assert store.list() == []
    assert store.stat("a.tar") is None


def test_a_listing_takes_more_than_one_page(s3: S3Server, store: Store) -> None:
    s3.client.pipe({store.join(f"{number:05d}.tar"): b"x" for number in range(1010)})
    assert names(store) == [f"{number:05d}.tar" for number in range(1010)]


def test_a_prefix_is_the_start_of_a_name_and_an_empty_one_gives_nothing(s3: S3Server, store: Store) -> None:
    for name in ("a.tar", "a/b.tar", "ab/c.tar"):
        store.write(name, b"")
    assert names(store, "a/") == ["a/b.tar"]
    assert names(store, "a") == ["a.tar", "a/b.tar", "ab/c.tar"]
    assert names(store, "nothing/here") == []
    assert names(Store(f"{store.url}/nothing", s3.storage)) == []


def test_a_console_s_stand_in_for_a_directory_is_no_object(s3: S3Server, store: Store) -> None:
    s3.client.call_s3("put_object", Bucket=store.url.split("/")[2], Key="root/folder/", Body=b"")
    store.write("folder/a.tar", b"")
    assert names(store) == ["folder/a.tar"]
    assert store.stat("folder") is None


@pytest.mark.parametrize("same", [True, False], ids=["same bytes", "own bytes"])
def test_of_eight_writers_that_create_one_object_exactly_one_wins(store: Store, same: bool) -> None:
    barrier, won = threading.Barrier(8), []
    store.list()  # connected before the race

    def create(number: int) -> None:
        barrier.wait()
        if store.create("lease", b"same" if same else b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("lease") == (b"same" if same else b"%d" % won[0])
    assert not store.create("lease", store.read("lease"))


def test_an_object_on_s3_is_replaced_only_while_it_is_the_one_that_was_seen(store: Store) -> None:
    first = store.write("lease", b"first")
    second = store.replace("lease", b"second", first)
    assert second is not None
    assert second == store.stat("lease")
    assert store.replace("lease", b"third", first) is None
    assert store.read("lease") == b"second"
    store.delete("lease")
    assert store.replace("lease", b"fourth", second) is None
    assert store.list() == []


def test_of_eight_writers_that_replace_one_object_exactly_one_wins(store: Store) -> None:
    old = store.write("lease", b"old")
    barrier, won = threading.Barrier(8), []

    def replace(number: int) -> None:
        barrier.wait()
        if store.replace("lease", b"%d" % number, old):
            won.append(number)

    threads = [threading.Thread(target=replace, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("lease") == b"%d" % won[0]


@pytest.mark.parametrize("lost", [1, 2])
def test_replace_knows_its_own_object_when_the_answer_was_lost(
    store: Store, broken: Store, breaking: BreakingProxy, lost: int
) -> None:
    old = store.write("lease", b"old")
    breaking.cut_answer(0, times=lost)
    new = broken.replace("lease", b"ours", old)
    assert new == store.stat("lease")
    assert breaking.broken == lost
    assert broken.replace("lease", b"theirs", old) is None


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: Store) -> None:
    store.write("a", b"")
    store.delete("a")
    store.delete("a")
    assert store.list() == []


def test_a_store_that_was_used_works_in_a_forked_process(store: Store) -> None:
    store.write("a", b"text")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own advice against forking with threads
        child = os.fork()
    if child == 0:
        os._exit(0 if store.read("a") == b"text" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_bucket_that_does_not_exist_is_a_store_error_with_a_remedy(s3: S3Server, tmp_path: Path) -> None:
    store = Store("s3://no-such-bucket/root", s3.storage)
    for attempt in (
        store.list,
        lambda: store.stat("a"),
        lambda: store.read("a"),
        lambda: store.get("a", tmp_path / "a"),
    ):
        with pytest.raises(StoreError, match=r"s3://no-such-bucket/root.*bucket does not exist .*create the bucket"):
            attempt()


def test_a_missing_object_is_a_store_error_that_names_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"root/nope\.tar .*no such object"):
        store.read("nope.tar")
    with pytest.raises(StoreError, match=r"root/nope\.tar.*no such object"):
        store.get("nope.tar", tmp_path / "back")


@pytest.mark.parametrize("identity", [(FULL[0], "wrong-secret"), ("nobody", "wrong-secret")], ids=["secret", "key"])
def test_wrong_credentials_are_named_as_the_cause_and_never_shown(
    s3: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, identity: tuple[str, str]
) -> None:
    store.write("a", b"")
    become(monkeypatch, *identity)
    stranger = Store(store.url, s3.storage)
    (tmp_path / "a").write_bytes(b"")
    for attempt in (
        stranger.list,
        lambda: stranger.stat("a"),
        lambda: stranger.read("a"),
        lambda: stranger.write("a", b""),
        lambda: stranger.create("b", b""),
        lambda: stranger.put(tmp_path / "a", "a"),
        lambda: stranger.delete("a"),
    ):
        with pytest.raises(StoreError, match="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") as caught:
            attempt()
        assert identity[1] not in str(caught.value)
        assert "nobody" not in str(caught.value)


def test_without_credentials_the_message_names_the_variables_unless_they_are_not_wanted(
    s3: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="no credentials were found; check AWS_ACCESS_KEY_ID"):
        Store(store.url, s3.storage).list()
    with pytest.raises(StoreError, match="without credentials: cannot list: access denied"):
        Store(store.url, s3.storage, anon=True).list()


def test_an_identity_that_may_only_read_reads_and_is_refused_everything_else(
    s3: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = store.write("a", b"text")
    (tmp_path / "file").write_bytes(b"new")
    become(monkeypatch, *READ_ONLY)
    reader = Store(store.url, s3.storage)
    assert reader.list() == [written]
    assert reader.read("a") == b"text"
    for attempt in (
        lambda: reader.write("a", b"new"),
        lambda: reader.create("b", b"new"),
        lambda: reader.put(tmp_path / "file", "a"),
        lambda: reader.delete("a"),
    ):
        with pytest.raises(StoreError, match=r"access denied .*allowed to (write|create|upload|delete) here"):
            attempt()
    assert store.list() == [written]


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_an_endpoint_that_nobody_answers_is_named(store: Store, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    short_pauses(monkeypatch)
    url = url.format(port=free_port())
    with pytest.raises(TransientError, match=rf"{url}: .*check dataset.storage.endpoint_url"):
        Store(store.url, Storage(endpoint_url=url)).list()


def test_a_password_in_the_endpoint_is_not_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    short_pauses(monkeypatch)
    with pytest.raises(MtlueError) as caught:
        Store(store.url, Storage(endpoint_url=f"http://user:hidden@127.0.0.1:{free_port()}")).list()
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["{host}", "https://{host}"])
def test_an_endpoint_that_is_no_url_or_of_the_wrong_scheme_is_not_retried(
    s3: S3Server, store: Store, wrong: str
) -> None:
    endpoint = wrong.format(host=s3.endpoint_url.removeprefix("http://"))
    with pytest.raises(StoreError, match=r"check .*dataset\.storage\.endpoint_url"):
        Store(store.url, Storage(endpoint_url=endpoint)).list()


def test_an_overloaded_server_is_asked_again(store: Store, broken: Store, breaking: BreakingProxy) -> None:
    store.write("a", b"text")
    breaking.fail(503, times=2)
    assert broken.read("a") == b"text"
    assert breaking.broken == 2


def test_a_server_that_stays_overloaded_is_given_up_as_transient(
    store: Store, broken: Store, breaking: BreakingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a", b"text")
    monkeypatch.setattr(failures, "FIRST_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(failures, "PATIENCE_SECONDS", 0.4)
    breaking.fail(503, times=100_000)
    for attempt in (broken.list, lambda: broken.stat("a"), lambda: broken.get("a", tmp_path / "a")):
        before = breaking.broken
        with pytest.raises(TransientError, match=rf"{store.url}.*503.*tried \d+ times in \d+ s"):
            attempt()
        assert breaking.broken > before + 2
    assert not (tmp_path / "a").exists()


def test_a_store_that_is_away_for_longer_than_a_few_attempts_is_waited_for_once_it_has_answered(
    store: Store, broken: Store, breaking: BreakingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four attempts, as it used to be, take some seconds; a restart or a throttled bucket takes longer."""
    monkeypatch.setattr(failures, "FIRST_PATIENCE_SECONDS", 0.0)
    breaking.fail(503, times=1)
    with pytest.raises(TransientError, match="tried once"):
        broken.stat("a")
    assert broken.stat("a") is None  # it has answered: the address is right
    breaking.fail(503, times=25)
    pickle.loads(pickle.dumps(broken)).write("a", b"text")  # noqa: S301 - and a worker knows it too
    assert breaking.broken == 26
    assert store.read("a") == b"text"


def test_a_download_that_breaks_in_the_middle_starts_again_and_is_whole(
    store: Store, broken: Store, breaking: BreakingProxy, tmp_path: Path
) -> None:
    data = os.urandom(3_000_000)
    store.write("a.tar", data)
    broken.stat("a.tar")
    breaking.cut_answer(100_000, times=4)  # answers without a body are shorter: only downloads break
    broken.get("a.tar", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert breaking.broken >= 4


def test_a_download_that_always_breaks_leaves_no_part(
    store: Store, broken: Store, breaking: BreakingProxy, tmp_path: Path
) -> None:
    store.write("a.tar", os.urandom(3_000_000))
    breaking.cut_answer(100_000, times=100_000)
    with pytest.raises(TransientError, match=r"a\.tar .*cannot download"):
        broken.get("a.tar", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("size", [3_000_000, 40_000_000], ids=["one request", "parts"])
def test_a_put_that_always_breaks_midway_leaves_no_object(
    store: Store, broken: Store, breaking: BreakingProxy, tmp_path: Path, size: int
) -> None:
    (tmp_path / "new").write_bytes(os.urandom(size))
    breaking.cut_request(1_000_000, times=100_000)
    with pytest.raises(TransientError, match=r"a\.tar .*cannot upload"):
        broken.put(tmp_path / "new", "a.tar")
    assert breaking.broken > 0
    assert store.list() == []


@pytest.mark.parametrize("size", [3_000_000, 40_000_000], ids=["one request", "parts"])
def test_a_put_that_breaks_midway_is_repeated_and_whole(
    store: Store, broken: Store, breaking: BreakingProxy, tmp_path: Path, size: int
) -> None:
    data = os.urandom(size)
    (tmp_path / "new").write_bytes(data)
    breaking.cut_request(1_000_000, times=3)
    broken.put(tmp_path / "new", "a.tar")
    assert breaking.broken >= 3
    assert store.read("a.tar") == data


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_create_knows_its_own_object_when_the_answer_was_lost(
    store: Store, broken: Store, breaking: BreakingProxy, lost: int
) -> None:
    breaking.cut_answer(0, times=lost)
    assert broken.create("lease", b"ours")
    assert breaking.broken == lost
    assert not broken.create("lease", b"ours")
    breaking.cut_answer(0, times=lost)
    assert not broken.create("lease", b"theirs")


def test_a_store_whose_etags_are_no_checksums_takes_a_put_all_the_same(
    broken: Store, breaking: BreakingProxy, tmp_path: Path
) -> None:
    breaking.other_etags = True
    (tmp_path / "new").write_bytes(os.urandom(1000))
    assert broken.put(tmp_path / "new", "a.tar").etag.startswith("0" * 32)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("train/00001.tar", ["00001.tar"]),
        ("train/{00000..00001}.tar", ["00000.tar", "00001.tar"]),
        ("{train,val}/00000.tar", ["train/00000.tar", "val/00000.tar"]),
        ("train/0000[1-9].tar", ["00001.tar", "00002.tar"]),
        ("*/*.tar", ["train/00000.tar", "train/00001.tar", "train/00002.tar", "val/00000.tar"]),
        ("**/*.parquet", ["val/deep/00000.parquet"]),
        ("val", ["00000.tar", "deep/00000.parquet"]),
        ("train/", ["00000.tar", "00001.tar", "00002.tar"]),
    ],
)
def test_every_spelling_finds_its_shards_on_s3(s3: S3Server, pattern: str, expected: list[str]) -> None:
    place = Store(s3.bucket("listing"), s3.storage)
    for name in ("train/00000.tar", "train/00001.tar", "train/00002.tar", "val/00000.tar", "val/deep/00000.parquet"):
        place.write(name, name.encode())
    place.write("train/_SUCCESS", b"")
    store, shards = list_shards(f"{place.url}/{pattern}", s3.storage)
    assert [shard.name for shard in shards] == expected
    assert [(shard.size, shard.etag) for shard in shards] == [
        (entry.size, entry.etag) for shard in shards if (entry := store.stat(shard.name))
    ]


def test_listing_errors_on_s3_say_what_is_missing(s3: S3Server, store: Store) -> None:
    store.write("train/00000.tar", b"")
    store.write("notes/readme.md", b"")
    for pattern, message in {
        "train/{00000..00003}.tar": r"3 of the shards .*00001\.tar, .*00003\.tar",
        "notes": r"other objects: .*readme\.md",
        "notes/readme.md": r"readme\.md is neither",
        "nothing/": "there is no shard at",
    }.items():
        with pytest.raises(ConfigError, match=message):
            list_shards(f"{store.url}/{pattern}", s3.storage)
    with pytest.raises(StoreError, match="bucket does not exist"):
        list_shards("s3://no-such-bucket/*.tar", s3.storage)


def test_anonymous_reading_is_asked_of_the_storage_by_the_listing_alone(s3: S3Server, store: Store) -> None:
    store.write("a.tar", b"")
    anonymous = Storage(endpoint_url=s3.endpoint_url, anon=True)
    assert names(Store(store.url, anonymous)) == ["a.tar"]
    with pytest.raises(MtlueError, match="without credentials"):
        list_shards(store.url, anonymous)
