"""Beside the shards: what a prefix or glob passes by is hidden or said, and a name that is spelled out is taken."""

import unicodedata
from pathlib import Path

import pytest

from schemas.dataset import Storage
from schemas.errors import ConfigError
from stages.io.shards.listing import list_shards
from stages.io.store.store import Store

HIDDEN = (
    "a/.Trash-1000/files/0.tar",
    ".ipynb_checkpoints/0-checkpoint.tar",
    "a/_temporary/0/part-0.parquet",
    "a/._0.tar",
    ".snapshot/daily/a/0.tar",
    "$RECYCLE.BIN/0.tar",
    "a/1.tar.part",
    "_staged.tar.gz",
)
PATTERNS = ["", "/", "/a", "/**", "/*/*", "/**/*.tar", "/{a,a}/*"]


def names(*patterns: str) -> list[str]:
    return [shard.name for shard in list_shards(list(patterns), Storage())[1]]


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A place whose folder itself lies below a hidden one."""
    root = str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"
    store = Store(f"{root}/.cache/_data")
    for name in ("a/0.tar", "a/_part=1/0.parquet", "a/_SUCCESS", "a/.DS_Store", *HIDDEN):
        store.write(name, name.encode())
    return store


@pytest.mark.parametrize("pattern", PATTERNS)
def test_hidden_and_unfinished_shards_are_passed_by_and_counted(place: Store, pattern: str) -> None:
    passed_by: list[str] = []
    _, shards = list_shards(f"{place.url}{pattern}", Storage(), passed_by=passed_by)
    allowed = {f"{place.url}/a/0.tar", f"{place.url}/a/_part=1/0.parquet"}
    assert {shard.url for shard in shards} <= allowed
    assert f"{place.url}/a/0.tar" in {shard.url for shard in shards}
    (sentence,) = passed_by
    assert "hidden or unfinished shards are left out: " in sentence


def test_every_hidden_shard_below_a_prefix_is_counted(place: Store) -> None:
    passed_by: list[str] = []
    list_shards(place.url, Storage(), passed_by=passed_by)
    first = min(HIDDEN)
    assert passed_by == [
        f"dataset.shards: hidden or unfinished shards are left out: {len(HIDDEN)} (the first: {first}); "
        "spell their folder out to read them"
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        "a/.Trash-1000/files/0.tar",
        "a/.Trash-1000",
        "a/.Trash-1000/files/*",
        "*/.Trash-1000/**",
        "a/.T*/files/?.tar",
        "**/.Trash*/**/0.tar",
    ],
)
def test_a_hidden_name_that_is_spelled_out_is_taken(place: Store, pattern: str) -> None:
    passed_by: list[str] = []
    _, shards = list_shards(f"{place.url}/{pattern}", Storage(), passed_by=passed_by)
    assert [shard.url for shard in shards] == [f"{place.url}/a/.Trash-1000/files/0.tar"]
    assert passed_by == []


def test_a_place_with_nothing_but_hidden_shards_says_so(place: Store) -> None:
    with pytest.raises(
        ConfigError, match=r"hidden or unfinished objects alone \(1: \.snapshot/daily/a/0\.tar\); spell"
    ):
        names(f"{place.url}/*.snapshot/**/0.tar")


@pytest.mark.parametrize(
    "packed",
    [
        "0.tar.gz",
        "0.tgz",
        "0.tar.zst",
        "0.tar.bz2",
        "0.txz",
        "0.tar.001",
        "0.parquet.gz",
        "0.TAR",
        "0.Parquet",
        "0.TGZ",
    ],
)
def test_a_packed_shard_below_a_prefix_or_glob_is_refused_by_name(place: Store, packed: str) -> None:
    place.write(f"a/{packed}", b"")
    for pattern in ("", "/a", "/**", "/a/0.*"):
        with pytest.raises(ConfigError, match=rf"cannot be read as they are \(1: (a/)?{packed}\); unpack"):
            names(f"{place.url}{pattern}")
    with pytest.raises(ConfigError, match=packed):
        names(f"{place.url}/a/{packed}")
    assert "0.tar" in names(f"{place.url}/a/*.tar")


def test_loose_images_and_archives_are_counted(place: Store) -> None:
    for name in ("a/1.jpg", "a/2.PNG", "a/labels.csv", "a/more.zip"):
        place.write(name, b"")
    passed_by: list[str] = []
    list_shards(f"{place.url}/a", Storage(), passed_by=passed_by)
    assert "images or archives beside the shards are not read: 3 (the first: 1.jpg); pack" in passed_by[1]


@pytest.mark.parametrize("folder", ["[v2]", "set [v2] [x]", "what?", "a*b", "[v2]/deep"])
def test_a_folder_that_is_there_is_no_pattern(tmp_path: Path, folder: str) -> None:
    store = Store(str(tmp_path / folder))
    for name in ("00.tar", "01.tar", "[0].tar"):
        store.write(name, b"")
    assert names(f"{store.url}/00.tar") == ["00.tar"]
    assert names(f"{store.url}/[0].tar") == ["[0].tar"]
    assert names(f"{store.url}/0[1-9].tar") == ["01.tar"]
    assert names(f"{store.url}/{{00..01}}.tar") == ["00.tar", "01.tar"]
    assert names(store.url) == names(f"{store.url}/") == names(f"{store.url}/*.tar") == ["00.tar", "01.tar", "[0].tar"]
    assert list_shards(f"file://{store.url}/00.tar", Storage())[1][0].url == f"{store.url}/00.tar"


def test_brackets_are_a_pattern_where_no_such_folder_is(tmp_path: Path) -> None:
    Store(str(tmp_path)).write("v/0.tar", b"")
    assert names(f"{tmp_path}/[v2]/0.tar") == ["v/0.tar"]
    store = Store(f"memory://{tmp_path.name}")
    store.write("[v2]/0.tar", b"")
    assert names(f"{store.url}/[v2]/0.tar") == ["[v2]/0.tar"]
    with pytest.raises(ConfigError, match=r"write \[\[\] for a bracket"):
        names(f"{store.url}/[v2]/*.tar")
    assert names(f"{store.url}/[[]v2]/*.tar") == ["0.tar"]


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_accents_are_equal_however_they_are_spelled(tmp_path: Path, stored: str, typed: str) -> None:
    def named(form: str, name: str) -> str:
        return unicodedata.normalize(form, name)  # type: ignore[arg-type]

    Store(str(tmp_path)).write(named(stored, "été/naïve/é0.tar"), b"")
    for pattern in ("été/naïve/é0.tar", "été", "été/naïve", "été/*/é*.tar", "été/naïve/é{0..0}.tar", "*/naïve/*"):
        (found,) = names(f"{tmp_path}/{named(typed, pattern)}")
        assert found.endswith(named(stored, "é0.tar")), pattern


def test_only_a_shard_that_is_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(b"")
    for name in ("notes.txt", "latest", ".hidden.tar"):
        (tmp_path / name).symlink_to("gone")
    assert names(str(tmp_path)) == ["0.tar"]
    (tmp_path / "1.tar").symlink_to("gone")
    assert names(f"{tmp_path}/0.tar") == ["0.tar"]
    for pattern in (tmp_path, tmp_path / "1.tar", tmp_path / "*.tar"):
        with pytest.raises(ConfigError, match=r"1\.tar is a symbolic link that leads nowhere"):
            names(str(pattern))
