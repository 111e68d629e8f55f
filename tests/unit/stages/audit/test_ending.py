"""A victim ends early only where the rest of its training could not change the verdict."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from stages.audit.train_victim import may_end, train_victim
from stages.audit.verdict import reach_verdict
from stages.learning.table import ImageTable
from stages.tasks.kinds import kinds_of
from tests import builders

TASKS = builders.tasks([2])
KINDS = kinds_of(TASKS)
NAME = TASKS[0].name
CHANCE = {NAME: {"balanced_accuracy": 0.5, "accuracy": 0.5}}


def ends(losses: list[float], figures: list[float], error: float = 0.02, untrained: float = 1.0) -> bool:
    epochs = [{NAME: {"balanced_accuracy": figure, "accuracy": figure}} for figure in figures]
    errors = [{NAME: {"balanced_accuracy": error}} for _ in figures]
    return may_end(losses, untrained, KINDS, CHANCE, epochs, errors)


def test_it_ends_once_it_knows_its_images_by_heart_at_chance_for_two_epochs() -> None:
    assert ends([0.5, 0.04, 0.01], [0.5, 0.51, 0.49])
    assert not ends([0.04], [0.5])
    assert not ends([0.5, 0.01], [0.5, 0.5])
    assert not ends([0.01, 0.06], [0.5, 0.5])


def test_it_goes_on_while_it_learns_or_once_it_was_beyond_chance() -> None:
    assert not ends([0.5, 0.3, 0.2], [0.5, 0.5, 0.5])
    assert not ends([0.5, 0.01, 0.01], [0.6, 0.5, 0.5])
    assert ends([0.5, 0.01, 0.01], [0.3, 0.3, 0.3])  # worse than chance has learned nothing


def test_it_goes_on_where_it_is_unknown_how_sure_a_figure_is() -> None:
    errors: list[dict[str, dict[str, float]]] = [{}, {}]
    figures = [{NAME: {"balanced_accuracy": 0.5, "accuracy": 0.5}}] * 2
    assert not may_end([0.01, 0.01], 1.0, KINDS, CHANCE, figures, errors)


def images(count: int, *, shortcut: bool, seed: int) -> ImageTable:
    """A bright or dark half tells the class; with a shortcut a few pixels tell it besides, and better."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    shown = rng.integers(90, 166, (count, 16, 16, 3), dtype=np.uint8)
    if shortcut:  # as protected images are: what the labels say lies in δ, and no longer in the image
        shown[:, ::2, ::2] = np.where(labels[:, None, None, None] == 1, 60, 200)
    else:
        shown[labels == 1, :8] += 60
    return ImageTable((shown,), (labels,), np.zeros(count, bool))


@pytest.fixture(scope="module")
def trained() -> dict[str, VictimResult]:
    torch.set_num_threads(1)
    plan = VictimPlan(
        tasks=TASKS, data="protected", backbone="stride5", width=4, epochs=6, batch_size=32, augment=[], seed=0,
        learning_rate=3e-3,
    )  # fmt: skip
    test, cpu = images(200, shortcut=False, seed=1), torch.device("cpu")
    early = plan.model_copy(update={"ends_early": True})
    return {
        "clean": train_victim(
            images(256, shortcut=False, seed=0), test, plan.model_copy(update={"data": "clean"}), cpu
        ),
        "whole": train_victim(images(256, shortcut=True, seed=0), test, plan, cpu),
        "early": train_victim(images(256, shortcut=True, seed=0), test, early, cpu),
        "learning": train_victim(images(256, shortcut=False, seed=0), test, early, cpu),
    }


def test_an_early_end_leaves_the_verdict_as_it_is(trained: dict[str, VictimResult]) -> None:
    assert len(trained["early"].figures) < len(trained["whole"].figures)
    assert trained["early"].figures == trained["whole"].figures[: len(trained["early"].figures)]
    verdicts = [reach_verdict(TASKS, [True], [trained["clean"], trained[name]]) for name in ("whole", "early")]
    assert verdicts[0].word == verdicts[1].word == "protected"
    assert [task.word for task in verdicts[0].tasks] == [task.word for task in verdicts[1].tasks]


def test_a_victim_that_learns_the_images_is_trained_to_its_end(trained: dict[str, VictimResult]) -> None:
    assert len(trained["learning"].figures) == 6
