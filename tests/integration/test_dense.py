"""Dense tasks from import to victim, without a cluster: rooms are read, protected, checked and learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.configuration.plans import ingest_plan, protect_plan, train_plan
from schemas.config import Config
from schemas.plans import VictimPlan
from schemas.records import Quarantined
from stages.adapters.drawn.drawn import Rooms
from stages.adapters.drawn.rooms import CLASSES
from stages.audit.train_victim import train_victim
from stages.ingest.ingest import profile_shard
from stages.io.shards.tar import read_tar
from stages.io.store.store import Store
from stages.learning.table import ImageTable, open_table
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import PERTURBERS
from stages.protect.protect import protect_shard
from stages.tasks.kinds import kinds_of
from tests import builders
from tests.datasets import imported

CPU, SIDE = torch.device("cpu"), 20
TASKS: list[dict[str, Any]] = [
    {"name": "mask", "kind": "segmentation", "field": "mask.png", "classes": list(CLASSES)},
    {"name": "depth", "kind": "depth", "field": "depth.png", "scale": 0.001, "high": 8},
    {"name": "normals", "kind": "normals", "field": "normals.npy"},
]
LABELS = ("mask.png", "depth.png", "normals.npy")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rooms")
    imported(Rooms(train=24, test=8, size=SIDE), root / "raw", samples=24)
    return root


def config(root: Path, **overrides: Any) -> Config:
    dataset = {"image": "png", "members": dict.fromkeys(LABELS, "keep")}
    return builders.config(root, **{"dataset": dataset, "tasks": TASKS, **overrides})


def table(settings: Config, path: Path, at: Path) -> ImageTable:
    plan = ingest_plan(settings)
    profile_shard(path, path.name, at, plan, 99)
    return open_table([at], kinds_of(plan.tasks))


def made(settings: Config, learned: ImageTable) -> GeneratorPerturber:
    plan = train_plan(settings)
    return GeneratorPerturber(PERTURBERS[plan.train.perturber].train(learned, plan, CPU).generator, "x")


def test_the_profile_counts_pixels_of_classes_and_depths(raw: Path, tmp_path: Path) -> None:
    profile = profile_shard(raw / "raw/train-00000.tar", "a.tar", tmp_path / "t", ingest_plan(config(raw)), 99)
    assert profile.samples == 24
    assert 0.9 * 24 * SIDE**2 < sum(profile.histograms["mask"]) <= 24 * SIDE**2
    bins = profile.values["depth"].bins()
    assert bins[0][0] >= 0
    assert bins[-1][1] <= 8
    assert profile.missing == {"mask": 0, "depth": 0, "normals": 0}
    assert set(LABELS) <= set(profile.fields)


@pytest.mark.parametrize(
    ("perturber", "method"), [("codes", "em"), ("generator", "em"), ("generator", "tap"), ("pil", "em")]
)
def test_rooms_are_protected_and_a_victim_learns_from_them(
    perturber: str, method: str, raw: Path, tmp_path: Path
) -> None:
    shared = {"perturber": perturber, "method": method, "rounds": 1, "batch_size": 12, "augment": ["crop", "flip"]}
    train = builders.settings_with_a_part(shared)
    settings = config(raw, train=train)
    path = raw / "raw/train-00000.tar"
    learned = table(settings, path, tmp_path / "clean")
    source, ref = builders.shard_ref(path)
    output = Store(str(tmp_path / "public"))
    record = protect_shard(source, ref, output, protect_plan(settings), made(settings, learned), "identity")
    assert record.samples == 24
    assert record.labelled == {"mask": 24, "depth": 24, "normals": 24}
    assert 0 < record.max_delta <= 8
    before, after = (list(read_tar(place, "a.tar")) for place in (path, tmp_path / "public" / path.name))
    for one, other in zip(before, after, strict=True):
        assert not isinstance(one, Quarantined)
        assert not isinstance(other, Quarantined)
        assert [member.field for member in one.members] == [member.field for member in other.members]
        changed = [a.field for a, b in zip(one.members, other.members, strict=True) if a.data != b.data]
        assert changed == ["png"]
    protected = table(settings, tmp_path / "public" / path.name, tmp_path / "protected")
    held_out = table(settings, raw / "raw/test-00000.tar", tmp_path / "test")
    plan = VictimPlan(
        tasks=train_plan(settings).tasks, data="protected", backbone="unet", width=4, epochs=1, batch_size=12,
        augment=["crop", "flip"], seed=0,
    )  # fmt: skip
    result = train_victim(protected, held_out, plan, CPU)
    assert {task: list(scores) for task, scores in result.figures[0].items()} == {
        task: list(scores) for task, scores in result.chance.items()
    }
    assert all(np.isfinite(value) for scores in result.figures[0].values() for value in scores.values())


@pytest.mark.parametrize("perturber", ["codes", "generator"])
def test_what_is_not_to_be_protected_has_no_part_in_delta(perturber: str, raw: Path, tmp_path: Path) -> None:
    train = builders.settings_with_a_part({"perturber": perturber, "rounds": 1, "batch_size": 12})
    settings = config(raw, train=train, protection={"tasks": ["depth"]})
    learned = table(settings, raw / "raw/train-00000.tar", tmp_path / "clean")
    perturber_, batch = made(settings, learned), learned.batch(np.arange(8), CPU)

    def delta(*labels: torch.Tensor) -> torch.Tensor:
        return perturber_.delta(batch.x_BCHW, labels, batch.gray_B, ["k"] * 8)

    mask, depth, normals = batch.labels
    torch.testing.assert_close(delta(mask, depth, normals), delta(mask.flip(0), depth, normals.flip(0)))
    assert not torch.equal(delta(mask, depth, normals), delta(mask, depth.flip(0), normals))
