"""The averaged pair: the mean of the published copy and of one that another generator protects, on request alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from schemas.plans import TrainPlan
from schemas.training import Audit, Train
from stages.countermeasures.countermeasure import Data
from stages.countermeasures.leaked_originals import Averaged, protected_again, subset
from stages.learning.table import ImageTable
from tests import builders

CPU = torch.device("cpu")
BOUND = 8


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("clean") / "images.arrow", 40)


def plan(seed: int, resolution: int = 16) -> TrainPlan:
    """Random codes: nothing is trained."""
    train = Train(perturber="floor", resolution=resolution, seed=seed)
    return TrainPlan(train=train, tasks=builders.tasks(), protected=[True, True], epsilon=BOUND / 255)


def images(table: ImageTable) -> np.ndarray:
    return table.images(np.arange(len(table))).astype(int)


def test_another_seed_gives_another_copy_and_both_stay_within_the_bound(clean: ImageTable) -> None:
    one, same, other = (protected_again(clean, plan(seed), CPU).astype(int) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    for copy in (one, other, protected_again(clean, plan(3, resolution=32), CPU).astype(int)):
        assert 0 < np.abs(copy - images(clean)).max() <= BOUND


def test_the_victim_learns_from_the_mean_of_both_copies_which_is_nearer_to_the_original(clean: ImageTable) -> None:
    own, copy = (protected_again(clean, plan(seed), CPU) for seed in (1, 2))
    protected = replace(clean, chunks=(own,))
    data = Data(protected, clean, builders.kinds(), 0, clean, plan(2))
    seen = Averaged().changed(data).train
    assert np.array_equal(images(seen), (own.astype(int) + copy + 1) // 2)
    assert np.abs(images(seen) - images(clean)).mean() < 0.8 * np.abs(own.astype(int) - images(clean)).mean()

    few = subset(protected, np.array([3, 5, 20]))  # the others were left out when the dataset was protected
    paired = Averaged().changed(replace(data, train=few)).train
    assert np.array_equal(images(paired), images(seen)[[3, 5, 20]])


def test_the_control_has_nothing_to_average(clean: ImageTable) -> None:
    data = Data(clean, clean, builders.kinds(), 0, None, plan(2))
    assert Averaged().changed(data) is data


def test_all_does_not_mean_it_and_its_name_does(tmp_path: Path) -> None:
    assert "averaged_pair" not in Audit(countermeasures="all").tried
    assert Audit(countermeasures=["averaged_pair"]).tried == ["averaged_pair"]
