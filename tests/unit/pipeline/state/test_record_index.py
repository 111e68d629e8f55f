"""The record index: records are read as one object where nothing changed, and never believed where something did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.state.record_index import RecordIndex
from schemas.errors import ValidationError
from schemas.records import ManifestShard
from stages.io.store.disk import Disk
from stages.io.store.store import Store


def record(name: str, samples: int = 1) -> ManifestShard:
    return ManifestShard(name=name, bytes=1, sha256="00", samples=samples)


def opened(work: Store) -> RecordIndex[ManifestShard]:
    return RecordIndex(work, "things/", ManifestShard, "remove it")


def named(number: int) -> str:
    return f"things/a/{number}.json"


@pytest.fixture
def work(tmp_path: Path) -> Store:
    """Twenty records and their index."""
    store = Store(str(tmp_path / "private"))
    index = opened(store)
    for number in range(20):
        index.add(named(number), record(str(number)))
    index.save()
    return store


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests to a disk, by verb; a disk's own listing looks at each file."""
    found: Counter[str] = Counter()
    for verb in ("list", "read", "write"):

        def call(*arguments: object, verb: str = verb, action: object = getattr(Disk, verb)) -> object:
            found[verb] += 1
            return action(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(Disk, verb, call)
    return found


def test_records_of_an_unchanged_folder_cost_one_listing_and_one_read(work: Store, requests: Counter[str]) -> None:
    index = opened(work)
    assert [each.name for each in index.read([named(7), *map(named, range(20))])] == ["7", *map(str, range(20))]
    index.save()
    assert requests == {"list": 1, "read": 1}


def test_what_changed_since_the_index_was_written_is_read_by_itself(work: Store, requests: Counter[str]) -> None:
    for number in (3, 20):
        work.write(named(number), record("another", samples=5).model_dump_json().encode())
    work.delete(named(4))
    requests.clear()
    index = opened(work)
    assert sorted(index.entries) == sorted(named(number) for number in range(21) if number != 4)
    assert [each.samples for each in index.read([named(2), named(3), named(20)])] == [1, 5, 5]
    assert requests["read"] == 3
    index.save()
    requests.clear()
    again = opened(work)
    assert [each.samples for each in again.read([named(3), named(20)])] == [5, 5]
    again.save()
    assert (requests["read"], requests["write"]) == (1, 0), "the index was not written again, or once too often"


@pytest.mark.parametrize("damage", [b"", b"no gzip at all", None])
def test_a_damaged_or_missing_index_is_written_again(work: Store, damage: bytes | None) -> None:
    name = "index/things.gz"
    whole = work.read(name)
    if damage is None:
        work.delete(name)
    else:
        work.write(name, damage or whole[:-30])
    index = opened(work)
    assert [each.name for each in index.read(list(map(named, range(20))))] == list(map(str, range(20)))
    index.save()
    assert work.read(name) == whole


def test_what_was_removed_comes_back_from_no_index(work: Store) -> None:
    index = opened(work)
    index.read([named(0)])
    index.remove([named(0)])
    index.drop([named(1)])
    assert named(0) not in index.entries
    assert named(1) not in index.entries
    index.save()
    assert work.stat(named(0)) is None
    assert named(0) not in opened(work).entries
    assert named(1) in opened(work).entries, "it was only said that others have removed it"


def test_a_record_that_cannot_be_read_is_named_whether_it_is_folded_or_not(work: Store) -> None:
    work.write(named(5), b'{"name": "x"}')
    for _ in range(2):
        index = opened(work)
        with pytest.raises(ValidationError, match=r"things/a/5\.json: this is no ManifestShard.*bytes.*or remove it"):
            index.read([named(5)])
        index.save()
