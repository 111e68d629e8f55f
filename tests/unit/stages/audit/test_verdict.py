"""The verdict: what figures of victims prove, what they do not, and how they are held against a requirement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from schemas.evidence import Evidence, VictimResult
from schemas.metrics import Metric
from schemas.tasks import Task
from schemas.training import Requirement
from stages.audit.verdict import NOT_MEASURED, held_against, judge, reach_verdict
from stages.formatting import percent
from tests.evidence import GOOD, TASKS, Curves, make_victim, victims

AGE = Task(field="json.age", kind="regression", unit="years")
LEVEL = Task(field="json.level", kind="regression")
MAE = AGE.metrics[0]


def of_numbers(data: str, *errors: tuple[float, ...], tasks: Sequence[Task] = (AGE,)) -> VictimResult:
    """A victim whose mean absolute errors in these tasks are those at each epoch; chance is 8."""
    epochs = zip(*errors, strict=True)
    return make_victim(data, [0.5] * len(errors[0]), [0.1] * len(errors[0])).model_copy(
        update={
            "chance": {task.name: {"mae": 8.0, "r2": 0.0} for task in tasks},
            "figures": [
                {task.name: {"mae": error, "r2": 0.0} for task, error in zip(tasks, each, strict=True)}
                for each in epochs
            ],
        }
    )


def verdict(protected: tuple[Curves, Curves], wanted: tuple[bool, bool] = (True, True), **changes: Any) -> Evidence:
    return reach_verdict(TASKS, wanted, victims(protected, **changes))


@pytest.mark.parametrize(
    ("protected", "clean", "chance", "word"),
    [
        (0.14, 0.77, 0.1, "protected"),
        (0.25, 0.77, 0.1, "protected"),
        (0.26, 0.77, 0.1, "weakened"),
        (0.43, 0.77, 0.1, "weakened"),
        (0.44, 0.77, 0.1, "not protected"),
        (0.77, 0.77, 0.1, "not protected"),
        (0.64, 0.70, 0.5, "not protected"),  # within the margin, and yet most of what can be learned is learned
        (0.12, 0.20, 0.1, "not proven"),  # the clean victim has learned nothing either
        (0.40, 0.20, 0.1, "not protected"),
    ],
)
def test_verdict_has_its_thresholds(protected: float, clean: float, chance: float, word: str) -> None:
    assert judge(protected=protected, clean=clean, chance=chance) == word


def test_verdict_says_in_one_sentence_what_was_reached() -> None:
    found = reach_verdict(TASKS, [True, True], GOOD)
    assert found.word == "protected"
    assert found.sentence.replace("\u00a0", " ") == (
        "Victims trained on the protected images reach 34 % mean accuracy on clean test data; "
        "chance is 30 %, clean training reaches 80 %."
    )


def test_verdict_says_plainly_when_images_are_not_protected() -> None:
    found = verdict(([0.9, 0.9], [0.7, 0.7]))
    assert found.word == "not protected"
    assert found.sentence.startswith("These images are not protected")


def test_verdict_counts_the_best_epoch_because_an_attacker_stops_early() -> None:
    assert verdict(([0.9, 0.5], [0.7, 0.1])).word == "not protected"


def test_verdict_counts_the_strongest_of_several_victims() -> None:
    stronger = make_victim("protected", [0.9], [0.7], seed=1)
    assert reach_verdict(TASKS, [True, True], [*GOOD, stronger]).word == "not protected"


def test_one_open_task_is_not_hidden_behind_a_good_mean() -> None:
    found = verdict(([0.5, 0.5], [0.36, 0.36]))
    assert found.word == "weakened"
    assert "not in every task (size)" in found.sentence
    assert found.tasks[0].name == "size"


def test_tasks_left_open_on_purpose_do_not_count() -> None:
    found = verdict(([0.5, 0.5], [0.7, 0.7]), wanted=(True, False))
    assert found.word == "protected"
    assert found.chance == 0.5
    assert [(task.name, task.wanted) for task in found.tasks] == [("shape", True), ("size", False)]


@pytest.mark.parametrize("shown", [[], GOOD[:2], GOOD[1:], GOOD[2:]], ids=len)
def test_without_evidence_nothing_is_claimed(shown: list[Any]) -> None:
    found = reach_verdict(TASKS, [True, True], shown)
    assert found.word == "not measured"
    assert "mtlue audit" in found.sentence or "Set `audit`" in found.sentence


def test_the_evidence_tells_last_and_best_of_every_metric_and_version() -> None:
    found = verdict(([0.55, 0.52], [0.12, 0.11]))
    shape = next(task for task in found.tasks if task.name == "shape")
    assert shape.metric == "balanced_accuracy"
    assert set(shape.scores) == {"balanced_accuracy", "accuracy"}
    assert {data: (score.last, score.best) for data, score in shape.scores["balanced_accuracy"].items()} == {
        "clean": (0.9, 0.9),
        "noise": (0.85, 0.85),
        "protected": (0.52, 0.55),
    }
    assert shape.chance == {"balanced_accuracy": 0.5, "accuracy": 0.6}


# --- what is asked of it ----------------------------------------------------------------------------------------------


def short(evidence: Evidence, **requirement: Any) -> list[str]:
    held = held_against(evidence, Requirement(**requirement))
    assert held.passed == (not held.shortfalls)
    assert held.model_copy(update={"requirement": None, "shortfalls": []}) == evidence
    return held.shortfalls


def test_evidence_of_which_nothing_is_asked_passes() -> None:
    for evidence in (NOT_MEASURED, verdict(([0.9, 0.9], [0.7, 0.7]))):
        held = held_against(evidence, None)
        assert held.passed
        assert held.requirement is None


def test_a_requirement_holds_up_to_its_very_limit_above_chance() -> None:
    evidence = verdict(([0.65, 0.5], [0.25, 0.1]))
    assert short(evidence, max_over_chance=0.15) == []
    assert len(short(evidence, max_over_chance=0.149)) == 2


def test_a_shortfall_names_task_metric_epoch_and_all_three_figures() -> None:
    (told,) = short(verdict(([0.55, 0.5], [0.4, 0.2])))
    for word in ("task 'size'", "balanced_accuracy at the best epoch", percent(0.4, 1), percent(0.1, 1)):
        assert word in told
    assert f"audit.require allows {percent(0.25, 1)}" in told


def test_the_epoch_and_the_metric_that_the_requirement_names_are_those_that_count() -> None:
    evidence = verdict(([0.5, 0.5], [0.7, 0.1]))
    assert len(short(evidence, epoch="best")) == 1
    assert short(evidence, epoch="last") == []
    # Plain accuracy has another line of chance: the majority class (0.6 and 0.2 here).
    assert short(verdict(([0.72, 0.5], [0.3, 0.1])), metric="accuracy") == []
    assert len(short(verdict(([0.72, 0.5], [0.3, 0.1])), metric="balanced_accuracy")) == 2


def test_tasks_left_open_on_purpose_are_not_asked_for_anything() -> None:
    assert short(verdict(([0.5, 0.5], [0.7, 0.7]), wanted=(True, False))) == []


def test_a_requirement_is_never_met_by_evidence_that_proves_nothing() -> None:
    assert "there is no evidence" in short(NOT_MEASURED)[0]
    assert "there is no evidence" in short(reach_verdict(TASKS, [True, True], GOOD[:2]))[0]
    (told,) = short(verdict(([0.5, 0.5], [0.1, 0.1]), clean=([0.9, 0.9], [0.2, 0.2])))
    assert "task 'size'" in told
    assert "nothing is proven; raise audit.epochs" in told


def test_the_strongest_of_several_victims_is_held_against_the_requirement() -> None:
    stronger = make_victim("protected", [0.9], [0.1], seed=1)
    (told,) = short(reach_verdict(TASKS, [True, True], [*GOOD, stronger]))
    assert "task 'shape'" in told


@pytest.mark.parametrize(
    ("protected", "clean", "word"),
    [
        (7.6, 2.0, "protected"),
        (6.9, 2.0, "protected"),  # 14 % better than chance
        (6.0, 2.0, "weakened"),  # 25 % better, and clean training 75 %
        (4.0, 2.0, "not protected"),
        (9.0, 2.0, "protected"),
        (7.0, 7.5, "not proven"),
    ],
)
def test_errors_are_judged_by_the_share_of_the_chance_line_that_is_gone(
    protected: float, clean: float, word: str
) -> None:
    assert judge(protected=protected, clean=clean, chance=8.0, metric=MAE) == word


def test_the_best_epoch_of_an_error_is_its_lowest() -> None:
    victims = [of_numbers("clean", (5.0, 2.0)), of_numbers("noise", (5.0, 2.5)), of_numbers("protected", (5.0, 7.6))]
    found = reach_verdict([AGE], [True], victims)
    assert found.word == "not protected"
    assert (found.means["protected"].best, found.means["protected"].last) == (5.0, 7.6)
    assert found.sentence.replace("\u00a0", " ") == (
        "These images are not protected: victims trained on them reach a mean absolute error of 5 years on clean test "
        "data; chance is 8 years, clean training reaches 2 years."
    )


def test_the_strongest_victim_of_an_error_is_the_one_that_errs_least() -> None:
    victims = [of_numbers("clean", (2.0,)), of_numbers("protected", (7.9,)), of_numbers("protected", (3.0,))]
    assert reach_verdict([AGE], [True], victims).means["protected"].best == 3.0


def test_tasks_of_unlike_metrics_are_summed_up_by_their_advantage_over_chance() -> None:
    tasks = (AGE, LEVEL)
    victims = [
        of_numbers("clean", (2.0,), (4.0,), tasks=tasks),
        of_numbers("protected", (7.6,), (7.2,), tasks=tasks),
    ]
    found = reach_verdict(tasks, [True, True], victims)
    assert found.metric.name == "advantage"
    assert found.chance == 0
    assert found.means["clean"].best == pytest.approx((0.75 + 0.5) / 2)
    assert found.means["protected"].best == pytest.approx((0.05 + 0.1) / 2)
    assert found.word == "protected"
    assert "reach 8\u00a0% beyond chance in the mean over tasks" in found.sentence
    assert [task.name for task in found.tasks] == ["level", "age"]  # the least protected first


def test_a_requirement_holds_for_errors_too() -> None:
    victims = [of_numbers("clean", (2.0,)), of_numbers("protected", (6.5,))]
    evidence = reach_verdict([AGE], [True], victims)
    (told,) = short(evidence)
    assert "mae at the best epoch is 6.5\u00a0years" in told
    assert "audit.require allows 6.8\u00a0years" in told
    assert short(evidence, max_over_chance=0.2) == []


def test_a_requirement_can_bound_the_share_of_the_clean_advantage_that_is_left() -> None:
    evidence = verdict(([0.54, 0.54], [0.11, 0.11]))
    assert short(evidence, max_share_left=0.2) == []
    assert len(short(evidence, max_share_left=0.05)) == 1
    assert "keeps 10.0\u00a0% of what clean" in short(evidence, max_share_left=0.05)[0]


def test_a_figure_that_a_task_lacks_is_replaced_by_the_one_that_decides_it() -> None:
    victims = [of_numbers("clean", (2.0,)), of_numbers("protected", (4.0,))]
    (told,) = short(reach_verdict([AGE], [True], victims), metric="accuracy")
    assert "mae at the best epoch" in told


def test_an_advantage_and_its_figure_are_each_others_inverse() -> None:
    for metric in (MAE, Metric(name="accuracy")):
        assert metric.at(metric.advantage(0.3, 0.5), 0.5) == pytest.approx(0.3)


def test_the_findings_of_a_set_have_their_means_of_one_victim_at_one_moment() -> None:
    parts = Task(field="json.marks", kind="multilabel", findings=["bar", "dot"]).parts
    figures = [{"bar": 0.9, "dot": 0.6}, {"bar": 0.6, "dot": 0.8}]

    def victim(data: str) -> VictimResult:
        each = [
            {
                f"marks.{name}": {"auc": value, "balanced_accuracy": 0.5, "accuracy": 0.5}
                for name, value in epoch.items()
            }
            for epoch in figures
        ]
        lines = {part.name: {"auc": 0.5, "balanced_accuracy": 0.5, "accuracy": 0.7} for part in parts}
        return make_victim(data, [0.5] * 2, [0.1] * 2).model_copy(update={"figures": each, "chance": lines})

    (found,) = reach_verdict(parts, [True, True], [victim("clean"), victim("protected")]).sets
    assert (found.name, found.tasks) == ("marks", ["marks.bar", "marks.dot"])
    assert found.scores["auc"]["protected"].best == pytest.approx(0.75)  # not 0.85, the mean of each one's best
    assert found.scores["auc"]["protected"].last == pytest.approx(0.7)
    assert found.chance["accuracy"] == pytest.approx(0.7)
