"""Countermeasures in an audit: what the strongest wins back counts and stands first, its control beside it."""

from schemas.evidence import Evidence, VictimResult
from stages.audit.verdict import reach_verdict
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
    assert any("projection" in line for line in found.details)


def test_a_countermeasure_that_ruins_training_leaves_the_verdict_as_it_was() -> None:
    ruined = judged(attack("class_means", "protected", 0.5, 0.1), attack("class_means", "clean", 0.5, 0.1))
    assert ruined.word == judged().word == "protected"
    assert ruined.attacks[-1].name == "class_means"
    assert ruined.attacks[-1].means["clean"].best == 0.3
