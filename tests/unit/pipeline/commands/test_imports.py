"""`mtlue import`: its commands and options are those of the adapters; `folder` also writes a configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.commands.imports import Datasets, dataset_command
from pipeline.configuration.loading import load_config
from stages.adapters.registry import DATASETS, adapter_class
from tests.running import mtlue
from tests.unit.stages.adapters.test_folder import pictures

OPTIONS = {
    "outlines": "out train=4000 test=600 size=32 seed=0 tasks=2 shard-samples=400",
    "scenes": "out train=2400 test=600 size=64 seed=0 contrast=0.35 shard-samples=400",
    "rooms": "out train=2000 test=400 size=64 seed=0 contrast=0.6 shard-samples=400",
    "multifashion": "source out train=60000 test=10000 size=36 seed=0 rgb=False shard-samples=1000",
    "celeba": "source out crop=140 size=70 original=False shard-samples=1000",
    "utkface": "source out size=140 original=False test-percent=20 shard-samples=1000",
    "chestxray14": "source out size=256 original=False split=lists test-percent=20 shard-samples=1000",
    "nyuv2": "source out classes=13 shard-samples=200",
}
"""What each command has taken since 0.1.0, with its defaults."""

COMMON = "shard-bytes=None workers={workers} endpoint-url=None json=False help"


def options_of(name: str) -> set[str]:
    """Options of a command as `name` where it is required, else `name=default`."""
    adapter = adapter_class(name)
    assert adapter is not None
    found = set()
    for option in dataset_command(name, adapter).params:
        default = "" if option.required else f"={option.default}"
        found |= {f"{spelling.removeprefix('--')}{default}" for spelling in option.opts}
    return found


@pytest.mark.parametrize("name", OPTIONS)
def test_a_command_keeps_its_options_and_defaults(name: str) -> None:
    workers = 1 if name in {"outlines", "scenes", "rooms", "multifashion"} else None
    assert options_of(name) == {*OPTIONS[name].split(), *COMMON.format(workers=workers).split()} - {"help"}


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_option_says_what_it_is(name: str) -> None:
    adapter = adapter_class(name)
    assert adapter is not None
    command = dataset_command(name, adapter)
    assert command.help
    assert adapter.name == name
    for option in command.params:
        assert re.match(r"[A-Z].*\.$", option.help), option.name  # type: ignore[attr-defined]


def test_the_group_lists_every_dataset_and_knows_no_other() -> None:
    group = Datasets(name="import")
    assert group.list_commands(None)[: len(DATASETS)] == [*DATASETS]  # type: ignore[arg-type]
    assert group.get_command(None, "imagenet") is None  # type: ignore[arg-type]


def test_a_folder_of_pictures_becomes_shards_and_a_configuration_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        f"{split}/{kind}/{n}.jpg" for split in ("train", "test") for kind in ("cat", "no", "eel") for n in range(3)
    ]
    pictures(tmp_path / "my pictures", *names)
    ended = mtlue(capsys, "import", "folder", "my pictures", "--out", "data/mine", "--workers", "1")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "written     mine.yaml; read it, then: mtlue run mine.yaml"
    config = load_config(Path("mine.yaml"), [])
    assert config.tasks[0].class_names == ["cat", "eel", "no"]
    assert config.dataset.shards == "data/mine/train-*.tar"
    assert config.dataset.test_shards == "data/mine/test-*.tar"
    before = Path("mine.yaml").read_bytes()
    ended = mtlue(capsys, "import", "folder", "my pictures", "--out", "data/mine", "--workers", "1")
    assert ended.out.splitlines()[-1].startswith("kept        mine.yaml is there already and stays as it is")
    assert Path("mine.yaml").read_bytes() == before
    places = ("--out", "data/other", "--workers", "1", "--config", "x.yaml", "--output", "public", "--json")
    ended = mtlue(capsys, "import", "folder", "my pictures", *places)
    assert json.loads(ended.out)["configuration"] == "x.yaml"
    assert load_config(Path("x.yaml"), []).output == "public"


def test_shards_are_never_written_into_the_folder_that_they_are_made_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = pictures(tmp_path / "in", "a/1.jpg", "b/1.jpg")
    ended = mtlue(capsys, "import", "folder", source, "--out", source / "shards", "--workers", "1")
    assert (ended.code, ended.out) == (2, "")
    assert "overlap; choose a place outside of it" in ended.err
    assert not (source / "shards").exists()


def test_pictures_of_one_class_are_imported_and_the_missing_label_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "in", "cats/1.jpg", "cats/2.jpg")
    ended = mtlue(capsys, "import", "folder", "in", "--out", "out", "--workers", "1")
    assert ended.code == 1
    assert "train       2 samples in 1 shards" in ended.out
    assert "one that differs between them (json.class: only one value: 'cats')" in ended.err
    assert not Path("out.yaml").exists()


def test_a_class_whose_name_means_no_label_is_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "in", *(f"{kind}/{n}.jpg" for kind in ("cat", "dog", "none") for n in range(4)))
    assert mtlue(capsys, "import", "folder", "in", "--out", "out", "--workers", "1").code == 0
    assert "CHECK: 4 of 12 samples have no label (empty, NaN, none and the like)" in Path("out.yaml").read_text()
