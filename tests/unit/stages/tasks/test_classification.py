"""The kind `classification`: its figures are right on skewed and missing labels, and its labels survive a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tasks import MISSING
from stages.tasks.task_kind import TaskKind
from tests import builders


def kind(classes: int) -> TaskKind:
    return builders.kinds([classes])[0]


def scores(predicted: list[int], labels: list[int], classes: int) -> tuple[float, float]:
    found = kind(classes).scores(np.array(predicted), np.array(labels))
    assert set(found) == {metric.name for metric in kind(classes).metrics}
    return found["accuracy"], found["balanced_accuracy"]


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


def test_chance_is_one_class_in_c_and_the_share_of_the_most_frequent_class() -> None:
    found = kind(4).chance(np.array([0, 0, 0, 1, MISSING, MISSING]))
    assert found == {"balanced_accuracy": 1 / 4, "accuracy": 3 / 4}
    assert kind(4).chance(np.array([MISSING])) == {"balanced_accuracy": 1 / 4, "accuracy": 0.0}


def test_a_verdict_is_reached_on_a_figure_that_class_sizes_do_not_change() -> None:
    assert kind(3).metrics[0].name == "balanced_accuracy"


def test_made_up_labels_are_classes_and_differ_as_far_as_they_can() -> None:
    assert kind(3).examples(4, 16).tolist() == [0, 1, 2, 0]
    assert bool(kind(3).known(kind(3).examples(4, 16)).all())


def test_labels_come_back_from_their_column() -> None:
    labels = [0, MISSING, 2]
    stored = kind(3).stored(pa.array(labels, kind(3).column(16)))
    assert stored.dtype == np.int64
    assert stored.tolist() == labels
    assert kind(3).known(torch.from_numpy(stored)).tolist() == [True, False, True]
    assert kind(3).missing == MISSING


@pytest.mark.parametrize("counts", [[3, 3, 3], [3, 4, 3]])
def test_losses_of_several_tasks_are_those_of_each_and_an_absent_task_gets_no_gradient(counts: list[int]) -> None:
    torch.manual_seed(0)
    kinds = [kind(count) for count in counts]
    outputs = [torch.randn(5, count, requires_grad=True) for count in counts]
    labels = [torch.tensor([0, MISSING, 2, 1, 0]), torch.full((5,), MISSING), torch.tensor([1, 1, MISSING, 2, 0])]
    found = type(kinds[0]).losses(kinds, outputs, labels)
    assert found[1] is None
    for number in (0, 2):
        torch.testing.assert_close(found[number], kinds[number].loss(outputs[number], labels[number]))
    sum(loss for loss in found if loss is not None).backward()
    assert outputs[0].grad is not None
    assert outputs[1].grad is None
