"""Binary and regression: figures are right, labels survive a table, what is fitted decides bins and losses."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schemas.tasks import MISSING, BinaryTask, RegressionTask, Task
from schemas.tasks.regression import Values
from stages.learning.table import TableWriter, open_table
from stages.tasks.binary import Binary, auc
from stages.tasks.kinds import fitted_tasks, kinds_of
from stages.tasks.regression import Regression
from stages.tasks.task_kind import TaskKind

AGES = np.array([1, 2, 3, 4, 5, 6, 7, 80, math.nan], dtype=np.float32)


def regression(labels: np.ndarray = AGES, **settings: object) -> Regression:
    values = {"kind": "regression", "field": "json.age", "bins": 4, **settings}
    (task,) = fitted_tasks([RegressionTask.model_validate(values)], [labels])
    (kind,) = kinds_of([task])
    assert isinstance(kind, Regression)
    return kind


def values_of(kind: Regression) -> Values:
    assert kind.task.values is not None
    return kind.task.values


def binary() -> Binary:
    return Binary(BinaryTask(kind="binary", field="json.lit"))


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.sampled_from([0, 1, MISSING])), min_size=1, max_size=25
    )
)
def test_auc_is_that_of_comparing_every_pair(rows: list[tuple[float, int]]) -> None:
    found = auc(np.array([rating for rating, _ in rows]), np.array([label for _, label in rows]))
    yes, no = ([rating for rating, label in rows if label == wanted] for wanted in (1, 0))
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(yes, no)]
    assert found == pytest.approx(np.mean(pairs) if pairs else 0.5)


def test_a_binary_victim_is_rated_by_its_probability_of_yes() -> None:
    kind = binary()
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.1], [0.2, 0.0]])
    predicted = kind.predicted(logits).numpy()
    labels = np.array([0, 1, 0, 1])
    assert kind.scores(predicted, labels) == {"balanced_accuracy": 0.5, "accuracy": 0.5, "auc": 0.75}
    assert kind.chance(np.array([0, 0, 0, 1, MISSING])) == {"balanced_accuracy": 0.5, "accuracy": 0.75, "auc": 0.5}
    assert kind.target(torch.tensor([0, 1, MISSING])).tolist() == [1, 0, MISSING]
    assert set(kind.chance(labels)) == {metric.name for metric in kind.metrics}


def test_bins_are_quantiles_of_the_labels_that_are_known() -> None:
    values = values_of(regression())
    assert values.edges == [2.75, 4.5, 6.25]
    assert (values.low, values.high) == (1, 80)
    assert values.mean == pytest.approx(13.5)


def test_given_edges_are_kept_and_a_value_on_an_edge_lies_above_it() -> None:
    kind = regression(edges=[3, 6])
    assert values_of(kind).edges == [3, 6]
    maps = kind.embedding(1, 2)
    shown = maps(torch.tensor([2.9, 3.0, 5.9, 6.0, math.nan]))
    rows = maps.table
    torch.testing.assert_close(shown, torch.stack([rows[0], rows[1], rows[1], rows[2], rows.mean(dim=0)]))


def test_labels_that_repeat_give_fewer_bins_but_two_at_least() -> None:
    assert len(values_of(regression(np.array([0, 0, 0, 0, 0, 9], np.float32))).edges) == 1
    same = regression(np.full(5, 3, np.float32))
    assert values_of(same).edges == [3]
    assert values_of(same).deviation == 1


def test_a_fit_to_no_label_at_all_is_none_and_says_so_when_it_is_needed() -> None:
    kind = regression(np.full(3, math.nan, np.float32))
    with pytest.raises(ValueError, match="'age': its bins are not fitted"):
        kind.embedding(1, 2)


def test_the_loss_is_on_the_standardised_value_of_samples_with_a_label() -> None:
    kind = regression()
    labels = torch.from_numpy(AGES)
    right = (labels - values_of(kind).mean)[:, None] / values_of(kind).deviation
    output = torch.where(right.isnan(), 1e6, right).requires_grad_()
    loss = kind.loss(output, labels)
    assert loss is not None
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    loss.backward()
    assert output.grad is not None
    assert bool(torch.isfinite(output.grad).all())
    torch.testing.assert_close(kind.predicted(output.detach())[:-1], labels[:-1])
    assert kind.loss(output, torch.full((9,), math.nan)) is None


def test_the_adversarial_target_is_mirrored_inside_the_range() -> None:
    target = regression().target(torch.tensor([1.0, 80.0, 40.5, math.nan]))
    assert target[:3].tolist() == [80, 1, 40.5]
    assert bool(target[3].isnan())


def test_the_error_of_the_median_is_chance_and_r2_is_that_of_the_mean() -> None:
    kind = regression()
    line = kind.chance(AGES)
    assert line == {"mae": pytest.approx(np.abs(AGES[:-1] - 4.5).mean()), "r2": 0.0}
    assert kind.scores(np.full(9, 4.5), AGES)["mae"] == pytest.approx(line["mae"])
    assert kind.scores(np.full(9, 13.5), AGES)["r2"] == pytest.approx(0)
    assert kind.scores(AGES, AGES) == {"mae": 0.0, "r2": 1.0}
    error, explained = kind.metrics
    assert not error.larger_is_better
    assert error.advantage(line["mae"] / 4, line["mae"]) == pytest.approx(0.75)
    assert explained.larger_is_better


@pytest.mark.parametrize("kind", [regression(), binary()], ids=["regression", "binary"])
def test_labels_come_back_from_their_table(kind: TaskKind, tmp_path: Path) -> None:
    labels = [1, kind.missing, 0]
    writer = TableWriter(tmp_path / "table", resolution=4, kinds=[kind])
    for label in labels:
        writer.add(np.zeros((4, 4, 3), np.uint8), [label], gray=False)
    writer.close()
    (stored,) = open_table([tmp_path / "table"], [kind]).labels
    np.testing.assert_array_equal(stored, np.array(labels, dtype=stored.dtype))
    assert kind.known(torch.from_numpy(stored)).tolist() == [True, False, True]
    assert [kind.is_missing(label) for label in labels] == [False, True, False]
    assert pa.array([kind.cell(label) for label in labels], kind.column(4)).null_count == 0


def test_made_up_labels_spread_over_the_range() -> None:
    assert regression().examples(3, 16).tolist() == [1, 40.5, 80]


def test_an_array_of_npy_is_read_like_a_list() -> None:
    parts = Task(kind="multilabel", field="marks.npy", findings=3).parts
    assert [kind.label(np.array([1, 0, np.nan])) for kind in kinds_of(parts)] == [1, 0, MISSING]
    assert regression().label(np.array(3.5)) == 3.5
