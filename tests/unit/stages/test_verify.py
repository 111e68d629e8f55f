"""Published shards as webdataset's own reader sees them: nothing may be missing there, nothing may be otherwise."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from webdataset import tariterators

from schemas.errors import InputError, ValidationError
from stages.io.shards.tar import TarWriter
from stages.verify import check_as_user_reads
from tests.builders import picture, png, write_shard

GOOD = ("good", [("png", png(picture(0, 4, 4))), ("json", b"{}")])


def refusal(path: Path) -> str:
    with pytest.raises(ValidationError) as caught:
        check_as_user_reads(path, "a/0.tar")
    assert caught.value.shard == "a/0.tar"
    return caught.value.message


def stored(path: Path, *names: str) -> Path:
    with TarWriter(path) as tar:
        for name in names:
            tar.add(name, name.encode())
    return path


def test_what_our_writer_makes_is_read_whole(tmp_path: Path) -> None:
    samples = [
        GOOD,
        ("v1.0/train/good", GOOD[1]),  # a dot in a folder is none of the key's
        ("./better", [("png", b"1")]),
        ("__half/a__/k", [("png", b"1")]),
        ("__half/a", [("left.png", b"1"), ("right.png", b"2"), ("seg.mask.npy", b"\0")]),
        ("__plain", [("png", b"1"), ("cls", b"")]),
        ("deep/__meta__/a", [("png", b"1")]),
        ("Key", [("JPG", b"1"), ("Json", b"{}"), ("txt", b"x")]),
        ("key", [("JPG", b"2")]),
        ("ключ " + "x" * 120, [("png", b"1"), ("cls", b"1")]),
    ]
    check_as_user_reads(write_shard(tmp_path / "x.tar", samples), "a/0.tar")
    check_as_user_reads(write_shard(tmp_path / "x.tar", []), "a/0.tar")


@pytest.mark.parametrize("data", [(b"1", b"2"), (b"", b"")], ids=["two members", "two empty members"])
def test_fields_that_differ_only_in_case_are_one_for_a_user(tmp_path: Path, data: tuple[bytes, bytes]) -> None:
    path = write_shard(tmp_path / "x.tar", [GOOD, ("k", [("cls", data[0]), ("Cls", data[1])])])
    message = refusal(path)
    assert message.startswith("shard a/0.tar: sample 'k': member 'Cls' differs from another only in the case")


@pytest.mark.parametrize(
    "names",
    [
        ("a.png", "b.png", "a.png"),
        ("a.png", "a.cls", "a.png", "a.cls"),
        ("a.png", "b.png", "a.cls", "b.cls"),
    ],
    ids=["again later", "twice in a row", "interleaved"],
)
def test_a_key_that_stands_twice_is_two_samples_or_none_for_a_user(tmp_path: Path, names: tuple[str, ...]) -> None:
    message = refusal(stored(tmp_path / "x.tar", *names))
    assert message.startswith("shard a/0.tar: sample 'a': ")
    assert "twice" in message or "places of the shard" in message


@pytest.mark.parametrize("name", ["__v1.0__/k.png", "__a__/b/k.png", "README", ".DS_Store", "a."])
@pytest.mark.parametrize("first", [True, False])
def test_a_member_that_readers_pass_by_is_refused(tmp_path: Path, name: str, first: bool) -> None:
    path = stored(tmp_path / "x.tar", *([name, "a.png"] if first else ["a.png", name]))
    assert f"member {name!r} belongs to no sample, and readers pass it by" in refusal(path)


@pytest.mark.parametrize("field", ["__bad__", "__key__", "__url__"])
def test_fields_that_mean_something_to_webdataset_are_refused(tmp_path: Path, field: str) -> None:
    path = write_shard(tmp_path / "x.tar", [GOOD, ("k", [("png", b"1"), (field, b"2")]), ("l", GOOD[1])])
    assert refusal(path).startswith("shard a/0.tar: sample 'k': webdataset ")


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "x.tar", [GOOD])
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=r"^shard a/0\.tar: damaged at byte"):
        check_as_user_reads(path, "a/0.tar")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"json": b"[]"}, "sample 'good': member 'json': webdataset reads 2 bytes, and other ones"),
        ({"extra": b""}, r"sample 'good': webdataset finds the fields \['png', 'json', 'extra'\]"),
        ({"__key__": "other"}, "sample 'good': webdataset passes it by and finds sample 'other'"),
        (None, "sample 'more': webdataset finds this sample, which is not in the shard"),
    ],
)
def test_a_reader_that_finds_something_else_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any] | None, problem: str
) -> None:
    group = tariterators.group_by_keys

    def changed(files: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        yield from (sample | (change or {}) for sample in group(files))
        if change is None:
            yield {"__key__": "more"}

    monkeypatch.setattr(tariterators, "group_by_keys", changed)
    with pytest.raises(ValidationError, match=rf"^shard a/0\.tar: {problem}"):
        check_as_user_reads(write_shard(tmp_path / "x.tar", [GOOD]), "a/0.tar")


def test_nothing_is_asked_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("GOPEN_VERBOSE", "1")
    check_as_user_reads(write_shard(tmp_path / "x.tar", [GOOD]), "https://example.invalid/0.tar")
