"""A surrogate's task weighting: it is the configured one, and an interrupted training goes on with what it learned."""

import numpy as np
import pytest
import torch

from schemas.plans import TrainPlan
from schemas.tasks import Task
from schemas.training import Train
from stages.learning.table import ImageTable
from stages.learning.weightings import WEIGHTINGS
from stages.perturbers.generator.training import Training
from stages.perturbers.training import unheard
from tests.builders import labelled_picture

CLASSES = (3, 2)
TASKS = [Task(field=f"json.{name}", classes=count) for name, count in zip("ab", CLASSES, strict=True)]


def new_training(weighting: str) -> Training:
    rng = np.random.default_rng(0)
    shown = np.stack([rng.integers(0, classes, 24) for classes in CLASSES], axis=1)
    pictures = np.stack([labelled_picture(row, CLASSES, 16, rng) for row in shown])
    table = ImageTable((pictures,), tuple(column.copy() for column in shown.T), np.zeros(24, dtype=bool))
    settings = Train(
        perturber="generator",
        method="em",
        weighting=weighting,
        width=4,
        generator="tiny",
        resolution=16,
        epochs=2,
        batch_size=12,
    )
    plan = TrainPlan(train=settings, tasks=TASKS, protected=[True, True], epsilon=8 / 255)
    return Training(table, plan, torch.device("cpu"), unheard)


def test_equal_weights_are_the_default() -> None:
    assert Train().weighting == "ls"  # tests/unit/schemas/test_plans.py holds that it changes no fingerprint


@pytest.mark.parametrize("name", list(WEIGHTINGS))
def test_surrogates_have_the_weighting_of_the_configuration_and_go_on_with_it(name: str) -> None:
    with torch.random.fork_rng(devices=[]):  # a surrogate's first weights follow those of the generator
        straight = new_training(name)
        straight.run()
        stopped = new_training(name)
        stopped.method.prepare(stopped.context)
        stopped.run_pass()
        resumed = new_training(name)
        resumed.load_state_dict(stopped.state_dict())
        resumed.run()
    assert [type(made.weighting) for made in straight.context.new_surrogates()] == [WEIGHTINGS[name]]
    assert resumed.losses == straight.losses
    (one,), (other,) = (training.method.state_dict()["surrogates"] for training in (straight, resumed))
    assert all(torch.equal(one[key], other[key]) for key in one)
