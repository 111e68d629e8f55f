"""Listing: every spelling finds exactly the shards that it names, and says so when it does not."""

from pathlib import Path

import pytest

from schemas.dataset import Storage
from schemas.errors import ConfigError
from stages.io.shards.listing import list_shards
from stages.io.shards.patterns import expand_braces
from stages.io.store.store import Store

SHARDS = (
    "train/00000.tar",
    "train/00001.tar",
    "train/00002.tar",
    "val/00000.tar",
    "val/deep/00000.parquet",
    "root.tar",
)


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place with some shards and other objects."""
    store = Store(str(tmp_path / "data") if request.param == "local" else f"memory://{tmp_path.name}/data")
    for name in SHARDS:
        store.write(name, name.encode())
    for name in ("train/_SUCCESS", "train/00000.json", "notes/readme.md"):
        store.write(name, b"")
    return store.url


def names(*patterns: str) -> list[str]:
    return [shard.name for shard in list_shards(list(patterns), Storage())[1]]


def test_a_url_is_one_shard_below_its_directory_with_size_etag_and_url(place: str) -> None:
    store, (shard,) = list_shards(f"{place}/train/00001.tar", Storage())
    entry = Store(f"{place}/train").stat("00001.tar")
    assert entry is not None
    assert store.url == f"{place}/train"
    assert (shard.name, shard.url) == ("00001.tar", f"{place}/train/00001.tar")
    assert (shard.size, shard.etag) == (entry.size, entry.etag)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("train/{00000..00002}.tar", ["00000.tar", "00001.tar", "00002.tar"]),
        ("train/{00002..00001}.tar", ["00001.tar", "00002.tar"]),
        ("{train,val}/00000.tar", ["train/00000.tar", "val/00000.tar"]),
        (
            "{train,val}",
            ["train/00000.tar", "train/00001.tar", "train/00002.tar", "val/00000.tar", "val/deep/00000.parquet"],
        ),
        ("train/*.tar", ["00000.tar", "00001.tar", "00002.tar"]),
        ("train/0000[!0].tar", ["00001.tar", "00002.tar"]),
        ("train/0000?.tar", ["00000.tar", "00001.tar", "00002.tar"]),
        ("train/*", ["00000.tar", "00001.tar", "00002.tar"]),
        ("*/00000.tar", ["train/00000.tar", "val/00000.tar"]),
        ("v*/**", ["val/00000.tar", "val/deep/00000.parquet"]),
        ("**/00000.*", ["train/00000.tar", "val/00000.tar", "val/deep/00000.parquet"]),
        ("*.tar", ["root.tar"]),
        ("train", ["00000.tar", "00001.tar", "00002.tar"]),
        ("train/", ["00000.tar", "00001.tar", "00002.tar"]),
        ("val", ["00000.tar", "deep/00000.parquet"]),
    ],
)
def test_every_spelling_finds_its_shards_and_no_others(place: str, pattern: str, expected: list[str]) -> None:
    assert names(f"{place}/{pattern}") == expected


def test_every_expansion_of_a_brace_must_find_a_shard(place: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no shard at .*val/0000\[12\]"):
        names(f"{place}/{{train,val}}/0000[12].*")


def test_a_list_of_patterns_is_named_below_the_common_directory_and_each_shard_comes_once(place: str) -> None:
    patterns = [f"{place}/val", f"{place}/train/{{00000..00001}}.tar", f"{place}/train/0000[12].tar"]
    store, shards = list_shards(patterns, Storage())
    assert store.url == place
    assert [shard.name for shard in shards] == [
        "train/00000.tar",
        "train/00001.tar",
        "train/00002.tar",
        "val/00000.tar",
        "val/deep/00000.parquet",
    ]


def test_equal_names_in_two_directories_stay_apart(place: str) -> None:
    assert names(f"{place}/train/00000.tar", f"{place}/val/00000.tar") == ["train/00000.tar", "val/00000.tar"]


def test_a_new_shard_does_not_rename_the_others(place: str) -> None:
    before = names(f"{place}/v*/*.tar")
    Store(place).write("vault/00000.tar", b"")
    assert set(before) < set(names(f"{place}/v*/*.tar"))


def test_relative_paths_are_listed_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for pattern in ("a.tar", "./a.tar", "*.tar", ".", "{a,a}.tar", f"file://{tmp_path}/a.tar"):
        store, shards = list_shards(pattern, Storage())
        assert (store.url, [shard.name for shard in shards]) == (str(tmp_path), ["a.tar"])


def test_a_directory_that_is_called_like_a_shard_is_a_prefix_with_a_slash(tmp_path: Path) -> None:
    Store(str(tmp_path)).write("x.parquet/part-0.parquet", b"")
    assert names(f"{tmp_path}/x.parquet/") == ["part-0.parquet"]
    assert names(f"{tmp_path}/x.parquet/", f"{tmp_path}/x.parquet/part-0.parquet") == ["part-0.parquet"]


def test_missing_members_of_a_brace_range_are_counted_and_the_first_five_named(place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names(f"{place}/train/{{00000..00012}}.tar")
    message = str(caught.value)
    assert "10 of the shards" in message
    assert [f"{number:05d}.tar" in message for number in range(3, 9)] == [True] * 5 + [False]


def test_a_missing_url_is_named(place: str) -> None:
    with pytest.raises(ConfigError, match=rf"1 of the shards .*{place}/train/nope\.tar"):
        names(f"{place}/train/nope.tar")


@pytest.mark.parametrize("pattern", ["notes", "notes/*", "no*/**"])
def test_a_prefix_or_glob_without_a_shard_names_what_is_there_instead(place: str, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"1 other objects: .*readme\.md"):
        names(f"{place}/{pattern}")


@pytest.mark.parametrize("pattern", ["nothing", "nothing/", "nothing/*.tar", "tra"])
def test_a_prefix_or_glob_that_finds_nothing_at_all_says_so(place: str, pattern: str) -> None:
    with pytest.raises(ConfigError, match="there is no shard at"):
        names(f"{place}/{pattern}")


@pytest.mark.parametrize("name", ["train/00000.tar.gz", "train/x.zip", "train/{00000.tgz,00001.tar}", "train/*.tar.gz"])
def test_packed_shards_are_refused_with_a_remedy(place: str, name: str) -> None:
    with pytest.raises(ConfigError, match=r"neither \.tar nor \.parquet; unpack it"):
        names(f"{place}/{name}")


def test_an_object_of_another_kind_that_is_spelled_out_is_refused(place: str) -> None:
    for patterns in ([f"{place}/notes/readme.md"], [f"{place}/train", f"{place}/notes/readme.md"]):
        with pytest.raises(ConfigError, match=r"readme\.md"):
            names(*patterns)


def test_two_shards_that_would_be_published_under_one_name_are_refused(place: str) -> None:
    Store(place).write("train/00000.parquet", b"")
    with pytest.raises(ConfigError, match=r"00000\.parquet and .*00000\.tar would both be published as 00000\.tar"):
        names(f"{place}/train")


@pytest.mark.parametrize(
    "patterns",
    [["s3://a/x.tar", "s3://b/x.tar"], ["s3://a/x.tar", "gs://a/x.tar"], ["s3://a/x.tar", "/a/x.tar"]],
)
def test_shards_of_two_buckets_are_refused(patterns: list[str]) -> None:
    with pytest.raises(ConfigError, match="several buckets or stores"):
        names(*patterns)


@pytest.mark.parametrize(
    "pattern",
    [
        "x-{00000..00011.tar",
        "x-00000}.tar",
        "x-{abc}.tar",
        "x-{0..99999999}.tar",
        "{0..1999}{0..1999}.tar",
        "x-{0..5..0}.tar",
        "a**b/x.tar",
    ],
)
def test_a_pattern_that_cannot_be_read_is_refused_by_name(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="names|brace|range|glob"):
        names(f"{tmp_path}/{pattern}")


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty list"):
        names()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("{0..6..3}", ["0", "3", "6"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{a,b{1..2}}", ["a", "b1", "b2"]),
        ("{a,}x", ["ax", "x"]),
        ("{a,a}", ["a"]),
    ],
)
def test_braces_expand_as_in_a_shell(pattern: str, expected: list[str]) -> None:
    assert expand_braces(pattern) == expected
