"""Whatever makes δ takes labels of every kind without pixels: numbers, yes and no, some of them missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from schemas.plans import TrainPlan
from schemas.tasks import MISSING, Task
from stages.learning.table import ImageTable
from stages.perturbers.perturber import GeneratorPerturber, check_delta
from stages.perturbers.registry import PERTURBERS
from stages.tasks.kinds import fitted_tasks
from tests import builders

CPU, EPSILON, SIDE = torch.device("cpu"), 16 / 255, 16
AGE = Task(field="json.age", kind="regression", bins=4, unit="years")
LIT = Task(field="json.lit", kind="binary")
TASKS = [AGE, LIT]
TINY = {"rounds": 2, "epochs": 1, "surrogate_epochs": 1, "batch_size": 32, "resolution": SIDE, "width": 4}


def pictures(count: int, seed: int, *, missing: bool = True) -> ImageTable:
    """Noise whose brightness rises with the age, on its left half where it is lit; every fifth label is missing."""
    rng = np.random.default_rng(seed)
    ages, lit = rng.uniform(0, 80, count), rng.integers(0, 2, count)
    images = rng.normal(90, 20, (count, SIDE, SIDE, 3)) + ages[:, None, None, None] / 2
    images[:, :, : SIDE // 2] += 30 * lit[:, None, None, None]
    if missing:
        ages[::5], lit[1::5] = math.nan, MISSING
    labels = (ages.astype(np.float32), lit.astype(np.int64))
    return ImageTable((np.clip(images, 0, 255).astype(np.uint8),), labels, np.zeros(count, dtype=bool))


def plan(name: str, table: ImageTable, *, protected: tuple[bool, bool] = (True, True), **values: Any) -> TrainPlan:
    shared = {"generator": "tiny", "augment": ["crop"], **TINY}
    train = builders.training(shared, perturber=name, **values)
    tasks = fitted_tasks(TASKS, table.labels)
    return TrainPlan(train=train, tasks=tasks, protected=list(protected), epsilon=EPSILON)


@pytest.fixture(scope="module")
def table() -> ImageTable:
    return pictures(96, 0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("codes", {}),
        ("pil", {"surrogate_epochs": 4}),
        ("generator", {"method": "em"}),
        ("generator", {"method": "tap"}),
        ("generator", {"method": "sep", "targeted": False}),
        ("em-sample", {}),
        ("floor", {}),
    ],
)
def test_numbers_and_answers_make_a_delta_that_follows_them(
    name: str, values: dict[str, Any], table: ImageTable
) -> None:
    made = PERTURBERS[name].train(table, plan(name, table, **values), CPU)
    assert all(math.isfinite(loss) for each in made.losses for loss in each.values())
    perturber, batch = GeneratorPerturber(made.generator, "x"), table.batch(np.arange(8), CPU)
    keys, (age, lit) = [str(row) for row in range(8)], batch.labels

    def delta(*labels: torch.Tensor) -> torch.Tensor:
        return check_delta(perturber.delta(batch.x_BCHW, labels, batch.gray_B, keys), keys)

    found = delta(age, lit)
    assert found.abs().max().item() <= np.float32(EPSILON)
    known = ~age.isnan()
    assert not torch.allclose(delta(80 - age, lit)[known], found[known], atol=1e-4)
    assert not torch.allclose(
        delta(age, torch.where(lit == MISSING, lit, 1 - lit))[lit != MISSING], found[lit != MISSING]
    )


def test_a_number_that_is_left_open_plays_no_part(table: ImageTable) -> None:
    made = PERTURBERS["codes"].train(table, plan("codes", table, protected=(False, True)), CPU)
    perturber, batch = GeneratorPerturber(made.generator, "x"), table.batch(np.arange(8), CPU)
    one, other = (
        perturber.delta(batch.x_BCHW, (age, batch.labels[1]), batch.gray_B, ["k"] * 8)
        for age in (batch.labels[0], batch.labels[0] + 30)
    )
    assert torch.equal(one, other)
