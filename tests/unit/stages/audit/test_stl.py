"""Weightings and single-task victims in an audit: what they learn from, and how their figures count."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from schemas.evidence import VictimResult
from schemas.metrics import BALANCED_ACCURACY
from schemas.plans import VictimPlan
from schemas.tasks import Task
from stages.audit.curves import Measure, curves, strongest
from stages.audit.train_victim import train_victim
from stages.audit.verdict import reach_verdict
from stages.learning.table import ImageTable
from stages.learning.weightings import WEIGHTINGS
from tests.builders import labelled_picture

CLASSES = (3, 2)
TASKS = [Task(field=f"json.{name}", classes=count) for name, count in zip("ab", CLASSES, strict=True)]


def new_table(count: int, seed: int) -> ImageTable:
    rng = np.random.default_rng(seed)
    shown = np.stack([rng.integers(0, classes, count) for classes in CLASSES], axis=1)
    pictures = np.stack([labelled_picture(row, CLASSES, 16, rng) for row in shown])
    return ImageTable((pictures,), tuple(column.copy() for column in shown.T), np.zeros(count, dtype=bool))


TRAIN, TEST = new_table(96, 0), new_table(60, 1)


def train(table: ImageTable = TRAIN, *, epochs: int = 2, **values: Any) -> VictimResult:
    plan = VictimPlan(
        tasks=TASKS,
        data="clean",
        backbone="resnet18",
        width=4,
        epochs=epochs,
        batch_size=16,
        augment=["crop"],
        seed=0,
        **values,
    )
    return train_victim(table, TEST, plan, torch.device("cpu"))


def result(data: str, *, only: str | None = None, seed: int = 0, **figures: Sequence[float]) -> VictimResult:
    """A victim's record; `a=[0.5, 0.6]` is its balanced accuracy in task a, epoch by epoch."""
    epochs = [
        {task: {"balanced_accuracy": figure, "accuracy": figure} for task, figure in zip(figures, epoch, strict=True)}
        for epoch in zip(*figures.values(), strict=True)
    ]
    chance = {task: {"balanced_accuracy": {"a": 1 / 3, "b": 1 / 2}[task], "accuracy": 0.5} for task in figures}
    return VictimResult(
        learning_rate=1e-3,
        data=data,
        backbone="resnet18",
        seed=seed,
        only=only,
        samples=9,
        test_samples=5,
        chance=chance,
        figures=epochs,
        seconds=float(len(figures)),
    )


def places(*tasks: str) -> list[Measure]:
    return [Measure(task, BALANCED_ACCURACY) for task in tasks]


def test_plans_without_a_weighting_or_single_tasks_keep_the_fingerprint_that_they_had() -> None:
    plan = VictimPlan(
        tasks=TASKS, data="clean", backbone="resnet18", width=8, epochs=2, batch_size=16, augment=["crop"], seed=1
    )
    assert plan.fingerprint == "3ed4be4bc97edf8b"
    others = [plan.model_copy(update=update) for update in ({"weighting": "uw"}, {"only": "a"}, {"only": "b"})]
    assert len({plan.fingerprint, *(other.fingerprint for other in others)}) == 4


@pytest.mark.parametrize("name", list(WEIGHTINGS))
def test_a_victim_of_any_weighting_learns_an_easy_task(name: str) -> None:
    found = train(weighting=name, epochs=8)
    assert found.weighting == name
    assert set(found.figures[-1]) == {"a", "b"}
    reached = max(epoch["a"]["balanced_accuracy"] for epoch in found.figures)
    assert reached > 0.45  # chance is 0.33; over seeds 0 to 2 and all weightings, without AVX: 0.58 to 0.84


def test_a_single_task_victim_knows_its_own_task_alone() -> None:
    found = train(only="a")
    assert found.only == "a"
    assert set(found.chance) == {"a"}
    assert all(set(epoch) == {"a"} for epoch in found.figures)
    # Whatever the labels of the other task are, the same victim comes out.
    turned = ImageTable(TRAIN.chunks, (TRAIN.labels[0], TRAIN.labels[1][::-1].copy()), TRAIN.gray_N)
    assert train(turned, only="a").figures == found.figures


def test_a_single_task_victim_of_an_unknown_task_is_refused_with_the_tasks_there_are() -> None:
    with pytest.raises(ValueError, match="only names 'c'; the tasks are a, b"):
        train(only="c")


def test_in_each_task_the_strongest_of_multi_task_and_single_task_victims_counts() -> None:
    victims = [
        result("protected", a=[0.4, 0.5], b=[0.6, 0.7]),
        result("protected", only="a", a=[0.9, 0.3]),
        result("protected", only="b", b=[0.5, 0.5]),
    ]
    assert strongest(victims, "protected", places("a")).best == 0.9
    assert strongest(victims, "protected", places("a")).last == 0.5
    assert strongest(victims, "protected", places("b")).best == 0.7
    assert strongest(victims, "clean", places("b")).best == 0.0


def test_the_mean_over_tasks_takes_single_task_victims_of_one_setting_together_epoch_by_epoch() -> None:
    victims = [
        result("protected", a=[0.4, 0.5], b=[0.6, 0.7]),
        result("protected", only="a", a=[1.0, 0.4]),
        result("protected", only="b", b=[0.5, 0.8]),
        result("protected", only="b", seed=1, b=[1.0, 1.0]),  # of another seed, and without its twin
    ]
    found = curves(victims, "protected", places("a", "b"))
    assert found == [pytest.approx([0.5, 0.6]), pytest.approx([0.75, 0.6])]


def test_a_task_that_a_single_task_victim_learns_is_not_called_protected() -> None:
    clean = result("clean", a=[0.9], b=[0.95])
    held = result("protected", a=[0.35], b=[0.5])
    assert reach_verdict(TASKS, [True, True], [clean, held]).word == "protected"
    single = [result("protected", only="a", a=[0.85]), result("protected", only="b", b=[0.5])]
    evidence = reach_verdict(TASKS, [True, True], [*single, clean, held])
    words = {task.name: task.word for task in evidence.tasks}
    assert words == {"a": "not protected", "b": "protected"}
    assert evidence.word != "protected"
    assert evidence.means["protected"].best == pytest.approx((0.85 + 0.5) / 2)
    assert evidence.chance == pytest.approx((1 / 3 + 1 / 2) / 2)
