"""The shape of δ: equal channels and cells, for whatever makes it, and nothing changed where neither is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from schemas.plans import GeneratorSpec, TrainPlan
from stages.learning.table import ImageTable
from stages.perturbers.perturber import GeneratorPerturber, check_delta
from stages.perturbers.registry import PERTURBERS
from stages.perturbers.shape import shaped
from tests import builders

CPU, EPSILON, SIDE = torch.device("cpu"), 8 / 255, 16
TINY = {"rounds": 3, "epochs": 1, "surrogate_epochs": 2, "batch_size": 32, "resolution": SIDE, "width": 4}


def spec(**shape: Any) -> GeneratorSpec:
    return GeneratorSpec(resolution=SIDE, epsilon=EPSILON, tasks=builders.tasks(), protected=[True, True], **shape)


def values(side: int = SIDE) -> torch.Tensor:
    return torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0)) - 0.5


def test_values_stay_as_they_are_unless_a_shape_is_asked_for_or_an_image_is_gray() -> None:
    given = values()
    assert shaped(given, torch.zeros(4, dtype=torch.bool), spec()) is given
    gray_B = torch.tensor([False, True, False, True])
    found = shaped(given, gray_B, spec())
    assert torch.equal(found[~gray_B], given[~gray_B])
    assert torch.equal(found[gray_B], given[gray_B].mean(dim=1, keepdim=True).expand(2, 3, SIDE, SIDE))


@pytest.mark.parametrize(("side", "cell"), [(16, 2), (16, 16), (18, 4), (17, 5)])
def test_a_cell_has_the_mean_of_its_values_also_where_the_edge_cuts_it(side: int, cell: int) -> None:
    given = values(side)
    found = shaped(given, torch.zeros(4, dtype=torch.bool), spec(cell=cell))
    assert found.shape == given.shape
    for top in range(0, side, cell):
        for left in range(0, side, cell):
            place = (..., slice(top, top + cell), slice(left, left + cell))
            mean = given[place].mean(dim=(2, 3), keepdim=True)
            assert torch.allclose(found[place], mean.expand_as(found[place]), atol=1e-6)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("table") / "images.arrow", 64)


@pytest.mark.parametrize("name", list(PERTURBERS))
def test_whatever_makes_it_has_equal_channels_and_cells(name: str, table: ImageTable) -> None:
    settings = builders.training({"generator": "tiny", **TINY}, perturber=name, achromatic=True, cell=2)
    plan = TrainPlan(train=settings, tasks=builders.tasks(), protected=[True, True], epsilon=EPSILON)
    made, batch = PERTURBERS[name].train(table, plan, CPU).generator, table.batch(np.arange(24), CPU)
    delta = GeneratorPerturber(made, "x").delta(batch.x_BCHW, batch.labels, batch.gray_B, ["k"] * 24)
    check_delta(delta, [str(row) for row in range(24)])
    assert torch.equal(delta[:, 0], delta[:, 1])
    assert torch.equal(delta[:, 0], delta[:, 2])
    assert torch.equal(delta[..., ::2, ::2], delta[..., 1::2, 1::2])
    assert torch.equal(delta[..., ::2, ::2], delta[..., ::2, 1::2])
    assert delta.abs().max() <= np.float32(EPSILON)


def test_a_plan_without_them_is_the_plan_that_it_was(tmp_path: Path) -> None:
    plain = builders.config(tmp_path).train
    plan = TrainPlan(train=plain, tasks=builders.tasks(), protected=[True, True], epsilon=EPSILON)
    named = plan.model_copy(update={"train": plain.model_copy(update={"achromatic": False, "cell": 1})})
    other = plan.model_copy(update={"train": plain.model_copy(update={"achromatic": True})})
    assert named.fingerprint == plan.fingerprint != other.fingerprint
    assert plan.spec.fingerprint != other.spec.fingerprint
