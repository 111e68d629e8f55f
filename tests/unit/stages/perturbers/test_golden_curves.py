"""Loss curves of every base method and of what makes δ without a generator, on a fixed tiny set, as they were measured.

A formula that changes its sign, a term that is lost, a schedule that moves or a seed that is read elsewhere shows here,
though every other property still holds. A change that is meant: run this file, read the new curve in the failure, and
say in the commit why it moved.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from schemas.plans import TrainPlan
from stages.learning.table import ImageTable
from stages.perturbers.registry import PERTURBERS
from tests import builders

GENERATOR = {"perturber": "generator", "generator": "tiny", "epochs": 3}

CURVES: dict[str, tuple[dict[str, object], list[float]]] = {
    "em": ({**GENERATOR, "method": "em"}, [0.8968, 0.9101, 0.9707]),
    "tap": ({**GENERATOR, "method": "tap"}, [0.9659, 0.9622, 0.9602]),
    "tap, untargeted": ({**GENERATOR, "method": "tap", "targeted": False}, [-0.9034, -0.913, -0.9092]),
    "sep": ({**GENERATOR, "method": "sep"}, [0.9228, 0.9143, 0.9118]),
    "pil in the generator": ({**GENERATOR, "method": "pil"}, [1.6762, 1.5543, 1.5245]),
    "fresh": ({**GENERATOR, "method": "fresh"}, [1.2302, 1.0711, 0.9693]),
    "codes": ({"perturber": "codes", "rounds": 3}, [0.9189, 0.8853, 1.21]),
    "pil": ({"perturber": "pil", "surrogate_epochs": 4}, [0.9075, 0.8567, 0.8042, 0.7958]),
}
"""Name → settings of the training, and its base losses."""

TOLERANCE = 0.1
"""Of a loss, relative; other processors sum in another order, and training carries that on: of class codes 0.4 % in the
second round, 3 % in the third, 14 % in the fourth, which is why they have three; elsewhere 0.3 % at most."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("table") / "images.arrow", 192)


@pytest.mark.parametrize("name", CURVES)
def test_a_training_goes_as_it_went(name: str, table: ImageTable) -> None:
    torch.set_num_threads(1)
    settings, expected = CURVES[name]
    shared = {"batch_size": 32, "resolution": 16, "width": 4, "surrogate_epochs": 4, "augment": ["crop"]}
    train = builders.training(shared, **settings)
    plan = TrainPlan(train=train, tasks=builders.tasks(), protected=[True, True], epsilon=8 / 255)
    found = [losses["base"] for losses in PERTURBERS[train.perturber].train(table, plan, torch.device("cpu")).losses]
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, err_msg=f"measured now: {np.round(found, 4).tolist()}")
