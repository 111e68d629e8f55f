import pytest

from schemas.config import Config
from schemas.records import AuditRecord, VictimResult
from stages.audit.verdict import judge, reach_verdict


def make_config(**changes) -> Config:
    return Config.model_validate(
        {
            "dataset": {"shards": "in/*.tar"},
            "tasks": [{"field": "json.shape", "classes": 2}, {"field": "json.size", "classes": 10}],
            "output": "out",
            **changes,
        }
    )


def make_victim(data: str, shape: list[float], size: list[float], seed: int = 0) -> VictimResult:
    epochs = [{"shape": a, "size": b} for a, b in zip(shape, size, strict=True)]
    return VictimResult(
        data=data, backbone="resnet18", seed=seed, samples=9, accuracy=epochs, balanced=epochs, seconds=1
    )


def make_audit(protected: tuple[list[float], list[float]], clean=([0.8, 0.9], [0.6, 0.7])) -> AuditRecord:
    return AuditRecord(
        fingerprint="f",
        chance={"shape": 0.5, "size": 0.1},
        majority={"shape": 0.6, "size": 0.2},
        test_samples=100,
        victims=[
            make_victim("clean", *clean),
            make_victim("noise", [0.7, 0.85], [0.5, 0.65]),
            make_victim("protected", *protected),
        ],
    )


GOOD = make_audit(([0.55, 0.52], [0.12, 0.11]))


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
        (0.12, 0.20, 0.1, "inconclusive"),  # the clean victim has learned nothing either
        (0.40, 0.20, 0.1, "not protected"),
    ],
)
def test_verdict_has_its_thresholds(protected, clean, chance, word):
    assert judge(protected=protected, clean=clean, chance=chance) == word


def test_verdict_says_in_one_sentence_what_was_reached():
    verdict = reach_verdict(make_config(), GOOD)
    assert verdict.word == "protected"
    assert verdict.sentence.replace("\u00a0", " ") == (
        "Victims trained on the protected images reach 34 % mean accuracy on clean test data; "
        "chance is 30 %, clean training reaches 80 %."
    )


def test_verdict_says_plainly_when_images_are_not_protected():
    verdict = reach_verdict(make_config(), make_audit(([0.9, 0.9], [0.7, 0.7])))
    assert verdict.word == "not protected"
    assert verdict.sentence.startswith("These images are not protected")


def test_verdict_counts_the_best_epoch_because_an_attacker_stops_early():
    assert reach_verdict(make_config(), make_audit(([0.9, 0.5], [0.7, 0.1]))).word == "not protected"


def test_verdict_counts_the_strongest_of_several_victims():
    audit = GOOD.model_copy(update={"victims": [*GOOD.victims, make_victim("protected", [0.9], [0.7], seed=1)]})
    assert reach_verdict(make_config(), audit).word == "not protected"


def test_one_open_task_is_not_hidden_behind_a_good_mean():
    verdict = reach_verdict(make_config(), make_audit(([0.5, 0.5], [0.36, 0.36])))
    assert verdict.word == "weakened"
    assert "not in every task (size)" in verdict.sentence
    assert verdict.tasks[0].name == "size"


def test_tasks_left_open_on_purpose_do_not_count():
    config = make_config(protection={"tasks": ["shape"]})
    verdict = reach_verdict(config, make_audit(([0.5, 0.5], [0.7, 0.7])))
    assert verdict.word == "protected"
    assert verdict.chance == 0.5


@pytest.mark.parametrize("audit", [None, GOOD.model_copy(update={"victims": GOOD.victims[:2]})])
def test_without_evidence_nothing_is_claimed(audit):
    verdict = reach_verdict(make_config(), audit)
    assert verdict.word == "not measured"
    assert "mtlue audit" in verdict.sentence
