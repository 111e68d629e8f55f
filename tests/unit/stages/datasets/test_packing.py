"""Packing: the shards hold the samples, come out the same every time, and are never mixed with something else."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from schemas.errors import ConfigError
from schemas.records import ManifestShard
from stages.datasets.embedded import import_scenes
from stages.datasets.packing import PackedSample, pack_shards
from stages.datasets.scenes import TASKS
from stages.io.store.store import Store


def numbered(count: int, drawn: list[int] | None = None) -> Iterator[PackedSample]:
    """Yield `count` samples; append the index of each to `drawn` when it is asked for."""
    for index in range(count):
        if drawn is not None:
            drawn.append(index)
        yield f"train-{index:06d}", [("txt", f"text {index}".encode()), ("cls", str(index % 3).encode())]


def pack(store: Store, count: int = 5, drawn: list[int] | None = None, seed: int = 0) -> list[ManifestShard]:
    return pack_shards(
        numbered(count, drawn), store, "train", shard_samples=2, parameters={"samples": count, "seed": seed}
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def members(shard: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(shard)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def test_every_sample_is_in_a_shard_in_order_with_its_members_together(tmp_path: Path) -> None:
    shards = pack(Store(str(tmp_path)))
    assert [(shard.name, shard.samples) for shard in shards] == [
        ("train-00000.tar", 2),
        ("train-00001.tar", 2),
        ("train-00002.tar", 1),
    ]
    found = [item for shard in shards for item in members((tmp_path / shard.name).read_bytes()).items()]
    assert found == [(f"{key}.{field}", data) for key, fields in numbered(5) for field, data in fields]


def test_the_recorded_size_and_checksum_are_those_of_the_stored_shards(tmp_path: Path) -> None:
    for shard in pack(Store(str(tmp_path))):
        data = (tmp_path / shard.name).read_bytes()
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_multiple_of_the_shard_size_leaves_no_empty_shard(tmp_path: Path) -> None:
    assert [shard.samples for shard in pack(Store(str(tmp_path)), count=4)] == [2, 2]


def test_the_same_samples_give_the_same_bytes_at_another_place(tmp_path: Path) -> None:
    pack(Store(str(tmp_path / "a")))
    pack(Store(str(tmp_path / "b")))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_complete_import_draws_no_sample_and_rewrites_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = pack(store)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    drawn: list[int] = []
    assert pack(store, drawn=drawn) == first
    assert drawn == []
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


def test_an_interrupted_import_is_completed_with_the_bytes_of_an_unbroken_one(tmp_path: Path) -> None:
    def broken() -> Iterator[PackedSample]:
        yield from numbered(3)
        raise KeyboardInterrupt

    store = Store(str(tmp_path / "broken"))
    with pytest.raises(KeyboardInterrupt):
        pack_shards(broken(), store, "train", shard_samples=2, parameters={"samples": 5, "seed": 0})
    assert {path.name for path in (tmp_path / "broken").glob("*.tar")} == {"train-00000.tar"}, "no half shard"
    pack(store)
    pack(Store(str(tmp_path / "whole")))
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["delete", "shorten"])
def test_a_complete_import_whose_shard_was_lost_or_cut_is_mended(tmp_path: Path, damage: str) -> None:
    store = Store(str(tmp_path))
    pack(store)
    whole = contents(tmp_path)
    victim = tmp_path / "train-00001.tar"
    victim.chmod(0o644)
    if damage == "delete":
        victim.unlink()
    else:
        victim.write_bytes(whole[victim.name][:-512])
    pack(store)
    assert contents(tmp_path) == whole


def test_another_import_into_the_same_place_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    pack(store, count=5)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"train\.import\.json.*samples: 5 there, 3 asked.*another place"):
        pack(store, count=3)
    assert contents(tmp_path) == before


def test_shards_of_unknown_origin_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "train-00000.tar").write_bytes(b"somebody's data")
    with pytest.raises(ConfigError, match=r"train-00000\.tar exists.*empty place"):
        pack(Store(str(tmp_path)))
    assert contents(tmp_path) == {"train-00000.tar": b"somebody's data"}


def test_a_file_that_is_not_an_import_record_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "train.import.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"train\.import\.json is not the record of an import"):
        pack(Store(str(tmp_path)))
    assert contents(tmp_path) == {"train.import.json": b"[]"}


def test_splits_share_a_place_without_touching_each_other(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    pack(store)
    before = contents(tmp_path)
    pack_shards(numbered(1), store, "test", shard_samples=2, parameters={"samples": 1})
    assert contents(tmp_path).items() > before.items()


def test_each_finished_shard_is_reported_when_it_is_in_the_store(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []
    pack_shards(
        numbered(3),
        Store(str(tmp_path)),
        "train",
        shard_samples=2,
        parameters={},
        on_shard=lambda shard: seen.append((shard.name, (tmp_path / shard.name).exists())),
    )
    assert seen == [("train-00000.tar", True), ("train-00001.tar", True)]


def test_the_local_working_folder_is_left_empty(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pack_shards(numbered(3), Store(str(tmp_path / "out")), "train", shard_samples=2, parameters={}, directory=scratch)
    assert list(scratch.iterdir()) == []


def test_a_shard_must_hold_a_sample() -> None:
    with pytest.raises(ConfigError, match="shard_samples must be at least 1; found 0"):
        pack_shards(numbered(1), Store("memory://none"), "train", shard_samples=0, parameters={})


def test_scenes_are_packed_as_pictures_with_a_label_for_every_task(tmp_path: Path) -> None:
    shards = import_scenes(Store(str(tmp_path)), train=5, test=2, size=32, seed=3, shard_samples=3)
    assert [(shard.name, shard.samples) for shard in shards] == [
        ("train-00000.tar", 3),
        ("train-00001.tar", 2),
        ("test-00000.tar", 2),
    ]
    found = members((tmp_path / "train-00001.tar").read_bytes())
    assert list(found) == ["train-000003.jpg", "train-000003.json", "train-000004.jpg", "train-000004.json"]
    picture = Image.open(io.BytesIO(found["train-000003.jpg"]))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (32, 32))
    labels = json.loads(found["train-000003.json"])
    assert set(labels) == {task.name for task in TASKS}
    assert all(0 <= labels[task.name] < len(task.class_names) for task in TASKS)


def test_scenes_that_are_there_already_are_left_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    arguments = {"train": 3, "test": 1, "size": 16, "shard_samples": 2}
    first = import_scenes(store, **arguments)
    reported: list[ManifestShard] = []
    assert import_scenes(store, **arguments, on_shard=reported.append) == first
    assert reported == []


def test_scenes_refuse_a_count_of_zero(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="test must be at least 1; found 0"):
        import_scenes(Store(str(tmp_path)), train=1, test=0)
