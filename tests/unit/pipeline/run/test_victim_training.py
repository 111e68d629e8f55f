"""Victims of an audit: what its budget has room for, and which stored ones are used again."""

from __future__ import annotations

import pytest

from pipeline.commands.audit import seconds_of
from pipeline.run.victim_plans import fits, words_of
from pipeline.run.victim_training import Budget, has_all_figures
from schemas.errors import ConfigError
from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from stages.countermeasures.registry import COUNTERMEASURES
from tests import builders

PLAIN = VictimPlan(
    tasks=builders.tasks(), data="protected", backbone="plain", width=8, epochs=2, batch_size=16, augment=[], seed=1
)
ADVERSARIAL = PLAIN.model_copy(update={"countermeasure": "adversarial8"})
DEEP = PLAIN.model_copy(update={"backbone": "vgg16"})
HOUR = 3600.0


def test_without_a_budget_everything_is_allowed() -> None:
    budget = Budget(None)
    budget.end(PLAIN, 100 * HOUR)
    assert budget.allows(ADVERSARIAL)


def test_a_victim_has_room_when_others_like_it_took_less_than_is_left() -> None:
    budget = Budget(5 * HOUR)
    assert budget.allows(PLAIN)  # nothing is known yet
    budget.end(PLAIN, 2 * HOUR)
    assert budget.allows(PLAIN)
    assert not budget.allows(ADVERSARIAL)  # six times the work
    assert not budget.allows(PLAIN, share=0.3)


def test_an_unknown_architecture_is_expected_to_take_as_long_as_the_slowest_known() -> None:
    budget = Budget(5 * HOUR)
    budget.end(PLAIN, 6 * HOUR)
    assert not budget.allows(DEEP)
    budget.end(DEEP, 1 * HOUR)
    assert budget.allows(DEEP)


def test_what_an_adversarial_training_took_tells_what_a_plain_one_takes() -> None:
    budget = Budget(5 * HOUR)
    budget.end(ADVERSARIAL, 12 * HOUR)
    assert budget.estimate(PLAIN) == 12 * HOUR / COUNTERMEASURES[ADVERSARIAL.countermeasure].cost < 12 * HOUR


def test_victims_that_are_on_their_way_take_room_shared_by_the_workers() -> None:
    alone, two = Budget(5 * HOUR), Budget(5 * HOUR, workers=2)
    for budget in (alone, two):
        budget.end(PLAIN, 2 * HOUR)
        budget.begin(PLAIN)
        budget.begin(PLAIN)
    assert not alone.allows(PLAIN)
    assert two.allows(PLAIN)
    alone.end(PLAIN, 2 * HOUR)
    assert alone.allows(PLAIN)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), (None, None)])
def test_a_budget_is_a_time_with_its_unit(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["20", "m", "-5m", "0s", "20 minutes", "nan h"])
def test_a_budget_that_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 90s, 20m or 1.5h"):
        seconds_of(text)


def test_what_was_left_out_is_told_in_words() -> None:
    assert words_of(PLAIN, seeded=True) == "plain at 0.001 on protected data, seed 1"
    assert words_of(ADVERSARIAL) == "adversarial8 by plain at 0.001 on protected data"
    assert words_of(PLAIN.model_copy(update={"only": "a"})) == "plain at 0.001 on protected data, task a alone"


def test_a_network_that_is_too_deep_for_half_the_size_is_not_asked_to_work_there() -> None:
    assert fits("vgg16", 32)
    assert not fits("plain", 8)


def test_a_stored_victim_without_a_metric_of_its_task_is_trained_again() -> None:
    task = PLAIN.tasks[0]
    whole = {task.name: {metric.name: 0.5 for metric in task.metrics}}
    known = VictimResult(
        data="protected",
        backbone="plain",
        learning_rate=0.1,
        seed=1,
        samples=8,
        test_samples=8,
        chance=whole,
        figures=[whole, whole],
        seconds=1.0,
    )
    lacking = {task.name: {metric.name: 0.5 for metric in task.metrics[1:]}}
    assert has_all_figures(known, PLAIN)
    assert not has_all_figures(known.model_copy(update={"figures": [whole, lacking]}), PLAIN)
    assert not has_all_figures(known.model_copy(update={"chance": lacking}), PLAIN)
