"""Who judges: a victim or countermeasure that learns nothing from clean images proves nothing by failing."""

from __future__ import annotations

import pytest

from pipeline.commands.audit import evidence_figures, evidence_lines
from schemas.evidence import Evidence, VictimResult
from schemas.training import Requirement
from stages.audit.verdict import held_against, reach_verdict
from stages.report.report import build_markdown
from tests.evidence import GOOD, TASKS, Curves, make_victim
from tests.unit.stages.report.test_report import Page, make_report


def victim(
    data: str, shape: float, size: float, *, backbone: str = "plain", rate: float = 1e-3, against: str = "none"
) -> VictimResult:
    """`GOOD`, beside it, has a resnet18 that learns 0.4 and 0.6 beyond chance from clean images."""
    update = {"backbone": backbone, "learning_rate": rate, "countermeasure": against}
    return make_victim(data, [shape], [size]).model_copy(update=update)


def judged(*more: VictimResult, without: str = "") -> Evidence:
    return reach_verdict(TASKS, [True, True], [*(each for each in GOOD if each.data != without), *more])


def judges(evidence: Evidence) -> dict[tuple[str, str], list[str]]:
    return {(each.backbone, each.countermeasure): each.judges for each in evidence.judges}


def places(evidence: Evidence) -> list[str]:
    """Terminal, head of the HTML report and of the Markdown: wherever a person reads the evidence."""
    page = Page(make_report(evidence=evidence)).text
    return [" ".join(text.replace("\u00a0", " ").split()) for text in
            ("\n".join(evidence_lines(evidence)), page, build_markdown("x", evidence))]  # fmt: skip


def test_a_victim_that_learns_less_than_half_of_the_best_from_clean_images_judges_nothing_and_is_named() -> None:
    blind = [victim("clean", 0.68, 0.16), victim("protected", 0.52, 0.11)]
    evidence = judged(*blind)
    assert judges(evidence) == {("resnet18", "none"): ["shape", "size"], ("plain", "none"): []}
    for text in places(evidence):
        assert "plain judges nothing: it learns at most 45 % of what the best clean victim learns" in text
    (told,) = [each for each in evidence_figures(evidence)["judges"] if each["backbone"] == "plain"]
    assert told["judges"] == []
    assert told["learned"] == {"shape": pytest.approx(0.45), "size": pytest.approx(0.1)}
    assert evidence_lines(evidence)[0].startswith("victims     resnet18: ")
    assert evidence.word == "protected"


def test_the_best_learning_rate_of_a_victim_decides_whether_it_judges() -> None:
    evidence = judged(victim("clean", 0.5, 0.1), victim("clean", 0.8, 0.5, rate=3e-3), victim("protected", 0.5, 0.1))
    assert judges(evidence)["plain", "none"] == ["shape", "size"]
    assert evidence.notes == []


def test_a_victim_judges_the_tasks_that_it_learns_and_no_others() -> None:
    evidence = judged(victim("clean", 0.85, 0.12), victim("protected", 0.5, 0.1))
    assert judges(evidence)["plain", "none"] == ["shape"]
    for text in places(evidence):
        assert "plain judges shape and not size: of that it learns 3 % of what the best clean victim learns" in text


def test_a_countermeasure_that_learns_nothing_from_clean_images_says_so_in_its_row() -> None:
    evidence = judged(
        victim("clean", 0.52, 0.12, against="adversarial8"), victim("protected", 0.51, 0.11, against="adversarial8"),
        victim("clean", 0.85, 0.6, against="gray"), victim("protected", 0.52, 0.12, against="gray"),
    )  # fmt: skip
    assert evidence.attack_note("gray") == ""
    assert judges(evidence)["plain", "adversarial8"] == []
    for text in places(evidence):
        assert text.count("judges nothing: it learns at most 5 % of what") == 1
    assert held_against(evidence, Requirement()).passed
    named = held_against(evidence, Requirement(countermeasures=["adversarial8", "gray"]))
    assert "adversarial8 judges nothing" in named.shortfalls[0]
    assert len(named.shortfalls) == 1


def test_what_a_victim_learns_from_protected_images_counts_although_it_learns_little_from_clean_ones() -> None:
    leaking = [victim("clean", 0.6, 0.3, against="jpeg10"), victim("protected", 0.68, 0.3, against="jpeg10")]
    evidence = judged(*leaking)
    assert judges(evidence)["plain", "jpeg10"] == []
    assert evidence.word == "weakened"
    assert len(held_against(evidence, Requirement()).shortfalls) == 2


def unjudged(protected: tuple[Curves, Curves]) -> Evidence:
    """Only a victim that learns little from clean images was trained on protected ones."""
    shape, size = protected
    return judged(victim("clean", 0.55, 0.2), victim("protected", shape[0], size[0]), without="protected")


def test_when_no_victim_judges_nothing_is_proven_and_the_gate_does_not_pass() -> None:
    evidence = unjudged(([0.52], [0.11]))
    assert evidence.word == "not proven"
    assert {task.word for task in evidence.tasks} == {"not proven"}
    assert evidence.sentence.startswith("Nothing is proven: no victim that was trained on protected images learns half")
    held = held_against(evidence, Requirement())
    assert [("nothing is proven" in each) for each in held.shortfalls] == [True, True]
    for text in places(held):
        assert "not proven" in text


def test_what_is_learned_without_a_judge_is_still_not_protected() -> None:
    assert unjudged(([0.9], [0.7])).word == "not protected"


def test_a_task_that_nobody_learns_is_named_beside_a_good_mean() -> None:
    clean = make_victim("clean", [0.55], [0.7])
    evidence = reach_verdict(TASKS, [True, True], [clean, make_victim("protected", [0.5], [0.1])])
    assert evidence.word == "protected"
    assert "Nothing is proven about shape" in evidence.sentence


def test_a_victim_without_a_clean_twin_judges_nothing_and_one_that_needs_originals_is_no_judge() -> None:
    evidence = judged(victim("protected", 0.5, 0.1), victim("protected", 0.9, 0.7, against="clean_samples"))
    assert ("plain", "clean_samples") not in judges(evidence)
    assert evidence.notes == ["plain judges nothing: it was not trained on clean images."]
