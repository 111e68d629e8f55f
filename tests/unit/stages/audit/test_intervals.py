"""Bootstrap intervals: as wide as statistics say, the same for the same seed, and on every figure that is shown."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.evidence import VictimResult
from schemas.metrics import ADVANTAGE, Metric
from stages.audit.curves import Measure, strongest
from stages.audit.intervals import standard_errors
from stages.audit.verdict import reach_verdict
from stages.tasks.task_kind import TaskKind
from tests import builders
from tests.evidence import TASKS, make_victim, victims

ACCURACY = Metric(name="accuracy")


def kind() -> TaskKind:
    return builders.kinds()[0]


def test_the_standard_error_of_an_accuracy_is_that_of_the_binomial() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    predicted = np.where(rng.random(400) < 0.7, labels, (labels + 1) % 3)
    errors = standard_errors(kind(), predicted, labels, seed=1)
    share = float((predicted == labels).mean())
    assert errors["accuracy"] == pytest.approx((share * (1 - share) / 400) ** 0.5, rel=0.3)
    assert errors == standard_errors(kind(), predicted, labels, seed=1)
    assert errors != standard_errors(kind(), predicted, labels, seed=2)


def test_a_victim_that_is_always_right_has_no_error_and_one_sample_has_no_interval() -> None:
    labels = np.arange(30) % 3
    assert standard_errors(kind(), labels, labels, seed=0) == {"balanced_accuracy": 0.0, "accuracy": 0.0}
    assert standard_errors(kind(), labels[:1], labels[:1], seed=0) == {}


def test_an_interval_of_a_share_stays_a_share() -> None:
    assert ACCURACY.interval(0.98, 0.05) == (pytest.approx(0.882), 1.0)
    assert ACCURACY.interval(0.02, 0.05) == (0.0, pytest.approx(0.118))
    assert ADVANTAGE.interval(-0.1, 0.05) == (pytest.approx(-0.198), pytest.approx(-0.002))
    assert Metric(name="mae", larger_is_better=False, unit="years").interval(3.0, None) is None


def with_errors(victim: VictimResult, *errors: float) -> VictimResult:
    """The victim with these standard errors, of every figure at each epoch."""
    return victim.model_copy(
        update={
            "errors": [
                {task: dict.fromkeys(found, error) for task, found in epoch.items()}
                for epoch, error in zip(victim.figures, errors, strict=True)
            ]
        }
    )


def test_a_score_has_the_error_of_the_very_victim_and_epoch_that_it_comes_from() -> None:
    found = [
        with_errors(make_victim("protected", [0.9, 0.6], [0.5, 0.4]), 0.01, 0.02),
        with_errors(make_victim("protected", [0.8, 0.7], [0.3, 0.2]), 0.03, 0.04),
    ]
    score = strongest(found, "protected", [Measure("shape", ACCURACY)])
    assert (score.best, score.best_error, score.last, score.last_error) == (0.9, 0.01, 0.7, 0.04)
    mean = strongest(found, "protected", [Measure("shape", ACCURACY), Measure("size", ACCURACY)])
    assert mean.best == pytest.approx(0.7)
    assert mean.best_error == pytest.approx(0.01)


def test_an_error_of_an_error_metric_is_scaled_as_its_advantage_is() -> None:
    mae = Metric(name="mae", larger_is_better=False, unit="years")
    assert Measure("age", mae, chance=8.0).error({"age": {"mae": 0.4}}) == pytest.approx(0.05)
    assert Measure("age", mae).error({"age": {"mae": 0.4}}) == 0.4
    assert Measure("age", mae).error({}) is None


def test_victims_of_an_earlier_version_have_figures_without_intervals() -> None:
    evidence = reach_verdict(TASKS, [True, True], victims(([0.55, 0.52], [0.12, 0.11])))
    assert evidence.means["protected"].best_error is None
    assert evidence.tasks[0].judged("protected").last_error is None
