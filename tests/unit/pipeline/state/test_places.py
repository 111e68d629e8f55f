"""The three places of a run: opened, checked against each other, and tried before any work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.state.places import Places, refuse_overlap, shard_object
from schemas.config import Config
from schemas.errors import ConfigError, StoreError
from schemas.records import ShardRef
from tests.builders import config, labelled_samples, write_shard


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("train-0.tar", "train-1.tar", "test-0.tar"):
        write_shard(tmp_path / "raw" / name, labelled_samples(1))
    return tmp_path


def with_audit(root: Path, dataset: dict[str, str]) -> Config:
    made = config(root, audit={"epochs": 1})
    return made.model_copy(update={"dataset": made.dataset.model_copy(update=dataset)})


def test_opening_and_looking_writes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))
    places = Places(config(root))
    assert [shard.name for shard in places.shards] == ["train-0.tar", "train-1.tar"]
    assert places.test_shards == []
    assert sorted(root.rglob("*")) == before


def test_held_out_shards_are_listed_only_when_there_is_an_audit(root: Path) -> None:
    places = Places(config(root, audit={"epochs": 1}))
    assert [shard.name for shard in places.test_shards] == ["test-0.tar"]


def test_held_out_shards_that_are_training_shards_are_refused(root: Path) -> None:
    dataset = {"test_shards": f"{root}/raw/*.tar", "shards": f"{root}/raw/train-*.tar"}
    with pytest.raises(ConfigError, match=r"train-0.tar is in dataset.shards and in dataset.test_shards"):
        Places(with_audit(root, dataset))


def test_a_place_inside_the_held_out_data_is_refused(root: Path) -> None:
    write_shard(root / "held/test-0.tar", labelled_samples(1))
    made = with_audit(root, {"test_shards": f"{root}/held/*.tar"})
    with pytest.raises(ConfigError, match=r"output .* and dataset.test_shards .* overlap"):
        Places(made.model_copy(update={"output": f"{root}/held/public"}))


def test_shards_in_several_directories_each_count(root: Path) -> None:
    write_shard(root / "raw/deep/er/train-2.tar", labelled_samples(1))
    made = config(root, dataset={"shards": [f"{root}/raw/train-*.tar", f"{root}/raw/deep/er/"]})
    assert [shard.name for shard in Places(made).shards] == ["deep/er/train-2.tar", "train-0.tar", "train-1.tar"]
    with pytest.raises(ConfigError, match="overlap"):
        Places(made.model_copy(update={"output": f"{root}/raw/deep/er/x"}))


@pytest.mark.parametrize(
    ("one", "other"),
    [("s3://b/x", "s3://b/x/"), ("s3://b", "s3://b/x"), ("s3://b/x/y", "s3a://b/x"), ("/a/../a/b", "file:///a")],
)
def test_overlap_is_found_however_a_place_is_spelled(one: str, other: str) -> None:
    for left, right in ((one, other), (other, one)):
        with pytest.raises(ConfigError, match=r"output .* and work .* overlap.*choose another prefix"):
            refuse_overlap("output", left, "work", right)


@pytest.mark.parametrize(("one", "other"), [("s3://b/x", "s3://b/xy"), ("s3://b/x", "gs://b/x"), ("/a/b", "/a/bc")])
def test_places_side_by_side_do_not_overlap(one: str, other: str) -> None:
    refuse_overlap("output", one, "work", other)


def test_the_write_check_leaves_nothing_behind_and_names_the_place_that_fails(root: Path) -> None:
    places = Places(config(root))
    places.check_writable()
    assert places.output.list() == places.work.list() == []
    (root / "file").write_text("")
    with pytest.raises(StoreError, match=r"^work: .*/file/private"):
        Places(config(root, work=f"{root}/file/private")).check_writable()


def test_a_new_state_of_a_shard_or_other_settings_have_another_name_in_work() -> None:
    ref = ShardRef(name="a/x.tar", url="s3://b/a/x.tar", size=10, etag="e")
    name = shard_object("profiles", ref, "s", "json")
    assert name.startswith("profiles/a/x.tar.")
    others = [ref.model_copy(update={"size": 11}), ref.model_copy(update={"etag": "f"})]
    names = {name, shard_object("profiles", ref, "t", "json")}
    names |= {shard_object("profiles", other, "s", "json") for other in others}
    assert len(names) == 4
    assert shard_object("profiles", ref.model_copy(update={"url": "gs://c/a/x.tar"}), "s", "json") == name


@pytest.mark.parametrize("there", [False, True], ids=["new", "open to all before"])
def test_nobody_else_may_look_into_a_local_work(root: Path, there: bool) -> None:
    made = config(root)
    if there:
        Path(made.work).mkdir()
        Path(made.work).chmod(0o755)
    Places(made).check_writable()
    assert Path(made.work).stat().st_mode & 0o777 == 0o700
    assert Path(made.output).stat().st_mode & 0o055, "what is public is open"
    assert Places(made).work.public() == ""


def test_a_work_whose_file_system_keeps_no_modes_is_open_to_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(root)
    Path(made.work).mkdir(mode=0o755)
    monkeypatch.setattr(os, "chmod", lambda path, mode: None)  # as exFAT does
    places = Places(made)
    places.check_writable()
    assert places.work.public() == "its mode is 0755, and its file system keeps no other"
