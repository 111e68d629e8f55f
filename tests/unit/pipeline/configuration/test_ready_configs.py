"""The configurations in docs/configs/ are read as they stand, and fit what the imports write."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.configuration.loading import load_config
from stages.adapters.adapter import Adapter
from stages.adapters.drawn.drawn import room_members
from stages.adapters.drawn.outlines import CLASSES as OUTLINES
from stages.adapters.drawn.outlines import draw_outlines
from stages.adapters.drawn.rooms import CLASSES as ROOMS_CLASSES
from stages.adapters.drawn.rooms import render_room
from stages.adapters.faces.celeba import CelebA
from stages.adapters.faces.utkface import UTKFace
from stages.adapters.medical.chestxray14 import FINDINGS, ChestXray14
from stages.adapters.rooms.nyuv2 import CLASSES, nyuv2_adapter
from stages.ingest.ingest import ReadSample, read_decoded
from stages.io.shards.sample import Member, Sample
from stages.tasks.kinds import kinds_of
from stages.tasks.labels import labels_of
from tests.datasets import celeba_tree, chest_tree, imported, nyuv2_export, utkface_tree

DIRECTORY = Path(__file__).parents[4] / "docs" / "configs"
CONFIGS = sorted(DIRECTORY.glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_ready_configuration_loads_and_keeps_its_places_apart(path: Path) -> None:
    config = load_config(path, [])
    assert config.name == path.stem
    assert config.dataset.test_shards is not None
    assert config.output.rpartition("/")[0] != config.work.rpartition("/")[0]


@pytest.mark.parametrize("path", [*CONFIGS, DIRECTORY.parents[1] / "pipeline.yaml"], ids=lambda path: path.stem)
def test_no_ready_configuration_keeps_text_unseen(path: Path) -> None:
    members = load_config(path, []).dataset.members
    assert not [name for name in members if name.endswith(("json", "txt", ".*"))]


def test_there_are_ready_configurations() -> None:
    assert {"celeba", "chestxray14", "multifashion", "nyuv2", "utkface"} <= {path.stem for path in CONFIGS}


def adapter_of(name: str, root: Path) -> Adapter:
    """The adapter of a small tree in the layout of a dataset, whose every label is there."""
    if name == "celeba":
        names = [task.name for task in load_config(DIRECTORY / "celeba.yaml", []).tasks]
        return CelebA(source=celeba_tree(root, names=names))
    if name == "utkface":
        return UTKFace(
            source=utkface_tree(root, [f"{age}_1_4_{20170116184732000 + age}.jpg" for age in range(1, 100, 9)])
        )
    if name == "chestxray14":
        return ChestXray14(source=chest_tree(root, ("No Finding", "Effusion|Mass", *FINDINGS)))
    return nyuv2_adapter(nyuv2_export(root))


@pytest.mark.parametrize("name", ["celeba", "utkface", "chestxray14", "nyuv2"])
def test_its_tasks_read_every_label_of_what_the_import_writes(tmp_path: Path, name: str) -> None:
    summary = imported(adapter_of(name, tmp_path / "raw"), tmp_path / "out")
    config = load_config(DIRECTORY / f"{name}.yaml", [])
    kinds, read = kinds_of(config.tasks), 0
    for path in sorted((tmp_path / "out").glob("*.tar")):
        for _, found in read_decoded(path, path.name, config.dataset, config.tasks):
            assert isinstance(found, ReadSample), found
            assert not any(kind.is_missing(label) for kind, label in zip(kinds, found.labels, strict=True))
            read += 1
    assert read == summary.samples == summary.rows


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
