"""Countermeasures in an audit: what the strongest wins back counts and stands first, its control beside it."""

import pytest
from pydantic import ValidationError

from schemas.evidence import Evidence, VictimResult
from schemas.training import Audit, Requirement
from stages.audit.verdict import held_against, reach_verdict
from tests.evidence import GOOD, TASKS, make_victim


def attack(name: str, data: str, shape: float, size: float) -> VictimResult:
    return make_victim(data, [shape], [size]).model_copy(update={"countermeasure": name})


def judged(*attacks: VictimResult) -> Evidence:
    return reach_verdict(TASKS, [True, True], [*GOOD, *attacks])


def test_without_countermeasures_there_are_no_rows_of_them() -> None:
    assert judged().attacks == []


def test_the_strongest_countermeasure_decides_and_stands_first_with_its_control_beside_it() -> None:
    found = judged(
        attack("gray", "protected", 0.6, 0.2),
        attack("gray", "clean", 0.85, 0.65),
        attack("projection", "protected", 0.9, 0.6),
        attack("projection", "clean", 0.88, 0.62),
    )
    assert [row.name for row in found.attacks] == ["projection", "gray", "none"]
    worst = found.attacks[0]
    assert worst.means["protected"].best == (0.9 + 0.6) / 2
    assert worst.means["clean"].best == (0.88 + 0.62) / 2
    assert worst.tasks["shape"].best == 0.9
    assert found.word == "not protected"
    assert found.means["protected"].best == 0.75
    assert "with the strongest countermeasure (orthogonal projection; " in found.sentence


def test_a_countermeasure_that_ruins_training_leaves_the_verdict_as_it_was() -> None:
    ruined = judged(attack("class_means", "protected", 0.5, 0.1), attack("class_means", "clean", 0.5, 0.1))
    assert ruined.word == judged().word == "protected"
    assert ruined.attacks[-1].name == "class_means"
    assert ruined.attacks[-1].means["clean"].best == 0.3


def test_what_leaked_originals_undo_is_shown_last_and_decides_nothing() -> None:
    found = judged(attack("clean_samples", "protected", 0.9, 0.7), attack("gray", "protected", 0.5, 0.1))
    assert [(row.name, row.counts) for row in found.attacks] == [
        ("none", True), ("gray", True), ("clean_samples", False),
    ]  # fmt: skip
    assert found.word == "protected"
    assert len(found.victims) == len(GOOD) + 2


def short(evidence: Evidence, **requirement: object) -> list[str]:
    return held_against(evidence, Requirement.model_validate(requirement)).shortfalls


def test_a_requirement_counts_every_countermeasure_and_names_the_one_that_breaks_it() -> None:
    evidence = judged(attack("gray", "protected", 0.9, 0.1), attack("gray", "clean", 0.85, 0.6))
    (told,) = short(evidence)
    assert "task 'shape'" in told
    assert "with gray" in told
    assert short(evidence, countermeasures=["none"]) == []
    assert len(short(evidence, countermeasures=["gray"])) == 1


def test_a_requirement_may_name_what_needs_originals() -> None:
    evidence = judged(attack("clean_samples", "protected", 0.9, 0.1))
    assert short(evidence) == []
    assert "with clean_samples" in short(evidence, countermeasures=["clean_samples"])[0]


def test_what_was_required_and_not_tried_or_left_out_is_a_shortfall() -> None:
    assert "gray was not tried" in short(judged(), countermeasures=["gray"])[0]
    cut = judged().model_copy(update={"left_out": ["gray by plain at 0.001 on protected data"]})
    assert "left out" in short(cut)[0]
    assert short(cut, countermeasures=["none"]) == []


def test_a_configuration_that_requires_what_it_does_not_try_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"require.countermeasures names jpeg10.*add it there"):
        Audit.model_validate({"countermeasures": ["gray"], "require": {"countermeasures": ["jpeg10"]}})
    assert len(Audit(countermeasures="all").tried) > 25
