"""The configurations in docs/configs/ are read as they stand, and fit what the imports write."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.configuration.loading import load_config
from stages.datasets.chestxray14 import FINDINGS
from stages.datasets.embedded import room_members
from stages.datasets.nyuv2_classes import CLASSES
from stages.datasets.outlines import CLASSES as OUTLINES
from stages.datasets.outlines import draw_outlines
from stages.datasets.rooms import CLASSES as ROOMS_CLASSES
from stages.datasets.rooms import render_room
from stages.io.shards.sample import Member, Sample
from stages.tasks.labels import labels_of
from stages.tasks.registry import kinds_of

DIRECTORY = Path(__file__).parents[4] / "docs" / "configs"
CONFIGS = sorted(DIRECTORY.glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_ready_configuration_loads_and_keeps_its_places_apart(path: Path) -> None:
    config = load_config(path, [])
    assert config.name == path.stem
    assert config.dataset.test_shards is not None
    assert config.output.rpartition("/")[0] != config.work.rpartition("/")[0]


def test_there_are_ready_configurations() -> None:
    assert {"celeba", "chestxray14", "multifashion", "nyuv2", "utkface"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize(
    ("name", "labels"),
    [("chestxray14", {"findings": [0] * 14}), ("utkface", {"age": 70, "age_group": 8, "gender": 1, "race": 4})],
)
def test_its_tasks_read_the_labels_that_the_import_writes(name: str, labels: dict[str, object]) -> None:
    for task in load_config(DIRECTORY / f"{name}.yaml", []).tasks:
        assert task.member == "json"
        assert task.label(labels[task.path[0]]) >= 0  # type: ignore[attr-defined]


def test_celeba_has_its_forty_attributes() -> None:
    tasks = load_config(DIRECTORY / "celeba.yaml", []).tasks
    assert len({task.field for task in tasks}) == 40
    assert {task.kind for task in tasks} == {"binary"}


def test_the_dense_tasks_of_nyuv2_read_the_members_of_the_import() -> None:
    config = load_config(DIRECTORY / "nyuv2.yaml", [])
    assert {task.member for task in config.tasks} == set(config.dataset.members)
    assert config.tasks[0].class_names == list(CLASSES)


def test_the_tasks_of_rooms_read_the_members_of_the_import() -> None:
    config = load_config(DIRECTORY / "rooms.yaml", [])
    members = dict(room_members(render_room(0, size=16)))
    assert list(members) == [config.dataset.image, *config.dataset.members]
    sample = Sample("k", tuple(Member(field, data) for field, data in members.items()))
    kinds = kinds_of(config.tasks)
    assert not any(kind.is_missing(label) for kind, label in zip(kinds, labels_of(sample, kinds), strict=True))
    assert config.tasks[0].class_names == list(ROOMS_CLASSES)


def test_findings_have_the_order_of_the_import() -> None:
    names = [task.name for task in load_config(DIRECTORY / "chestxray14.yaml", []).tasks]
    assert names == [f"findings.{finding}" for finding in FINDINGS]


def test_the_age_of_utkface_may_be_a_number_instead(tmp_path: Path) -> None:
    text = (DIRECTORY / "utkface.yaml").read_text()
    lines = text.splitlines()
    (regression,) = [line for line in lines if "kind: regression" in line]
    (groups,) = [line for line in lines if "json.age_group" in line]
    changed = text.replace(groups, "").replace(regression, regression.replace("# - ", "- "))
    (tmp_path / "utkface.yaml").write_text(changed)
    kinds = {task.name: task.kind for task in load_config(tmp_path / "utkface.yaml", []).tasks}
    assert kinds == {"age": "regression", "race": "classification", "gender": "binary"}


def test_the_configuration_of_make_run_fits_the_dataset_that_it_draws() -> None:
    config = load_config(DIRECTORY.parents[1] / "pipeline.yaml", [])
    _, labels = draw_outlines(0, size=config.train.resolution)
    assert [task.path[0] for task in config.tasks] == list(labels)
    assert all(tuple(task.class_names) == OUTLINES for task in config.tasks)  # type: ignore[attr-defined]
    assert config.audit is not None
    assert config.audit.require is not None
