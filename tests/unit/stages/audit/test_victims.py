"""Victims: their scores are right on skewed and missing labels, they learn what can be learned and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config import Audit
from schemas.records import VictimResult
from schemas.tasks import MISSING, Task
from stages.audit.victims import predict, scores_of, train_victim
from stages.learning.table import ImageTable
from stages.models.multitask import MultiTaskModel
from tests import builders

CPU = torch.device("cpu")
TASKS = [Task(field="json.a", classes=3), Task(field="json.b", classes=2)]


@pytest.fixture(scope="module")
def test_table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("test") / "test.arrow", 90, seed=77)


def victim(train: ImageTable, test: ImageTable, *, seed: int = 0, **values: Any) -> VictimResult:
    audit = Audit.model_validate({"width": 8, "epochs": 8, "batch_size": 16, **values})
    return train_victim(
        train, test, audit, data="clean", backbone="resnet18", tasks=TASKS, kinds=["crop"], seed=seed, device=CPU
    )


def scores(predicted: list[int], labels: list[int], classes: int) -> tuple[float, float]:
    return scores_of(np.array(predicted), np.array(labels), classes)


def test_balanced_accuracy_is_not_fooled_by_the_majority_class() -> None:
    accuracy, balanced = scores([0] * 10, [0] * 9 + [1], 2)
    assert accuracy == pytest.approx(0.9)
    assert balanced == pytest.approx(0.5)


def test_missing_labels_leave_both_scores() -> None:
    assert scores([0, 1, 1, 0], [0, MISSING, 1, MISSING], 2) == (1.0, 1.0)
    accuracy, balanced = scores([0, 1, 1, 0, 0], [0, MISSING, 0, 0, 1], 2)
    assert accuracy == pytest.approx(2 / 4)
    assert balanced == pytest.approx((2 / 3 + 0) / 2)


def test_without_any_label_the_scores_are_zero() -> None:
    assert scores([0, 1], [MISSING, MISSING], 2) == (0.0, 0.0)


def test_classes_that_do_not_occur_do_not_lower_balanced_accuracy() -> None:
    assert scores([0, 3], [0, 3], 10) == (1.0, 1.0)


@settings(max_examples=100)
@given(
    classes=st.integers(2, 5),
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(MISSING, 4)), min_size=1, max_size=30),
)
def test_scores_are_those_of_counting(classes: int, rows: list[tuple[int, int]]) -> None:
    rows = [(predicted % classes, label if label == MISSING else label % classes) for predicted, label in rows]
    found = scores([predicted for predicted, _ in rows], [label for _, label in rows], classes)
    known = [(predicted, label) for predicted, label in rows if label != MISSING]
    if not known:
        assert found == (0.0, 0.0)
        return
    recalls = []
    for wanted in range(classes):
        of_class = [predicted for predicted, label in known if label == wanted]
        if of_class:
            recalls.append(of_class.count(wanted) / len(of_class))
    assert found[0] == pytest.approx(sum(predicted == label for predicted, label in known) / len(known))
    assert found[1] == pytest.approx(sum(recalls) / len(recalls))


def test_a_victim_learns_an_easy_task_far_above_chance(tmp_path: Path, test_table: ImageTable) -> None:
    train = builders.table(tmp_path / "train.arrow", 128)
    result = victim(train, test_table)
    assert len(result.accuracy) == len(result.balanced) == 8
    assert result.samples == 128
    assert result.data == "clean"
    assert set(result.accuracy[-1]) == {"a", "b"}
    assert result.accuracy[-1]["a"] > 0.75
    assert result.balanced[-1]["a"] > 0.75
    assert result.best_accuracy >= result.mean_accuracy


def test_a_victim_of_shuffled_labels_stays_at_chance(tmp_path: Path, test_table: ImageTable) -> None:
    rng = np.random.default_rng(5)
    shuffled = np.stack([rng.integers(0, 3, 128), rng.integers(0, 2, 128)], axis=1)
    result = victim(builders.table(tmp_path / "train.arrow", 128, labels=shuffled), test_table)
    assert result.balanced[-1]["a"] < 1 / 3 + 0.2
    assert result.balanced[-1]["b"] < 1 / 2 + 0.2


def test_the_same_seed_gives_the_same_victim_and_the_global_random_state_is_left_alone(
    tmp_path: Path, test_table: ImageTable
) -> None:
    train = builders.table(tmp_path / "train.arrow", 48)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = victim(train, test_table, epochs=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = victim(train, test_table, epochs=2)
    assert (one.accuracy, one.balanced) == (again.accuracy, again.balanced)


def test_predicting_does_not_change_the_model(test_table: ImageTable) -> None:
    model = MultiTaskModel("resnet18", width=4, class_counts=[3, 2], resolution=16).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    predicted = predict(model, test_table, 32, CPU)
    assert predicted.shape == (90, 2)
    assert predicted.max(axis=0).tolist() <= [2, 1]
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    # The size of a batch decides nothing: batch norm uses what it learned.
    assert (predict(model, test_table, 7, CPU) == predicted).mean() > 0.97
