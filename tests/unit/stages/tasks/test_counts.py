"""Counts of labels: exact whatever the sharding, told in a line, and odd ones are noticed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import ShardProfile
from schemas.stats import MOST_BINS, Histogram, Moments
from schemas.tasks import Task
from stages.tasks.counts import LabelCounts, label_doubts, label_lines, label_table, only_label, rare_classes, set_table
from stages.tasks.kinds import kinds_of

AGE = Task(field="json.age", kind="regression", unit="years")
SHAPE = Task(field="json.shape", classes=["disc", "square", "star"])
MARKS = Task(field="json.marks", kind="multilabel", findings=["bar", "dot"]).parts
TASKS = [AGE, SHAPE, *MARKS]
NUMBERS = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), max_size=30)


def profile(rows: list[list[object]], tasks: list[Task] = TASKS) -> ShardProfile:
    """Of samples whose raw labels these are, one a task."""
    kinds = kinds_of(tasks)
    counts = LabelCounts(kinds)
    for row in rows:
        counts.add([kind.label(raw) for kind, raw in zip(kinds, row, strict=True)])
    return ShardProfile(
        name="a.tar",
        samples=len(rows),
        bytes=1,
        sha256="0" * 64,
        modes={"RGB": len(rows)},
        height=Moments(),
        width=Moments(),
        histograms=counts.histograms,
        values=counts.values,
        missing=counts.missing,
    )


@given(NUMBERS, NUMBERS)
def test_a_histogram_is_the_same_however_its_numbers_are_split(one: list[float], two: list[float]) -> None:
    together = Histogram().add([*one, *two])
    assert Histogram().add(one).merge(Histogram().add(two)) == together
    assert Histogram().add([*two, *one]) == together
    assert together.total == len(one) + len(two)
    if one or two:
        assert max(together.counts) - min(together.counts) < MOST_BINS


@given(NUMBERS)
def test_every_number_lies_in_a_bin_that_is_shown(numbers: list[float]) -> None:
    bins = Histogram().add(numbers).bins(8)
    assert len(bins) <= 8
    assert sum(count for _, _, count in bins) == len(numbers)
    for low, high, count in bins:
        assert count == sum(low <= number < high for number in numbers)


def test_a_table_of_classes_or_of_numbers_sums_up_the_shards() -> None:
    first = profile([[10, "disc", [1, 0], [1, 0]], [None, "disc", [1, None], [1, None]]])
    second = profile([[70.0, "star", [1, 1], [1, 1]]])
    assert label_table(SHAPE, [first, second]).rows == [("disc", 2), ("square", 0), ("star", 1)]
    ages = label_table(AGE, [first, second])
    assert (ages.total, ages.missing) == (2, 1)
    assert ages.rows[0] == ("8 to 12", 1)
    assert ages.rows[-1] == ("68 to 72", 1)
    assert label_table(MARKS[1], [first, second]).missing == 1


def test_labels_are_told_in_a_line_for_each_task_or_set() -> None:
    assert label_lines(TASKS, [profile([[10, "disc", [1, 0], [1, 0]], [None, "disc", [1, None], [1, None]]])]) == [
        "age: a number in years; 1 of 2 labels missing",
        "shape: classes, in order: disc, square, star; 0 of 2 labels missing",
        "marks: 2 binary tasks; 1 of 4 labels missing",
    ]


def test_classes_that_never_occur_and_numbers_that_never_differ_are_noticed() -> None:
    found = list(label_doubts(TASKS, [profile([[10, "disc", [1, 0], [1, 0]], [10, "star", [0, 0], [0, 0]]])]))
    assert len(found) == 3
    assert "task 'age': its values hardly differ (10)" in found[0]
    assert "task 'shape': 1 of its 3 classes never occur (square)" in found[1]
    assert "task 'marks.dot': 1 of its 2 classes never occur (yes)" in found[2]


def test_a_task_with_one_label_only_is_named_with_what_may_be_the_cause() -> None:
    rows: list[list[object]] = [[10, "disc", [1, 0], [1, 0]], [10, "star", [0, 0], [0, 0]]]
    found = list(label_doubts(TASKS, [profile(rows)]))
    assert ["so this task cannot be protected" in doubt for doubt in found] == [True, False, True]
    mask = Task(field="mask.png", kind="segmentation", classes=2)
    half = np.array([[0, 255], [255, 0]], np.uint8)
    (doubt,) = label_doubts([mask], [profile([[half]], [mask])])
    assert "every label is '0', so this task cannot be protected; if 255 marks the second class" in doubt


def test_classes_of_fewer_images_than_a_batch_are_named_and_masks_are_not() -> None:
    mask = Task(field="mask.png", kind="segmentation", classes=2)
    half = np.array([[0, 1], [1, 1]], np.uint8)
    rows: list[list[object]] = [[10, "disc", [1, 0], [1, 0], half]] * 3 + [[12, "star", [0, 0], [0, 0], half]]
    found = list(rare_classes([*TASKS, mask], [profile(rows, [*TASKS, mask])] * 2, 4))
    assert found == [
        "2 classes have fewer images than a batch of 4 (shape: star 2, marks.bar: no 2): a training sees little of "
        "them, and figures of their tasks are uncertain; add such images, or lower train.batch_size"
    ]
    assert list(rare_classes(TASKS, [profile([row[:4] for row in rows])], 1)) == []


def test_numbers_in_one_bin_of_the_tasks_own_edges_are_one_label() -> None:
    tasks = [Task(field="json.age", kind="regression", edges=edges) for edges in ([60.0], [30.0], [15.0])]
    found = [only_label(task, [profile([[10], [20]], [task])]) for task in tasks]
    assert [each is None for each in found] == [False, False, True]
    assert only_label(AGE, [profile([[10], [20]], [AGE])]) is None
    assert only_label(AGE, [profile([[10], [10.0], [None]], [AGE])]) == "10"
    assert only_label(SHAPE, [profile([[None]], [SHAPE])]) is None


def test_profiles_of_earlier_runs_are_still_read() -> None:
    stored = profile([[10, "disc", [1, 0], [1, 0]]]).model_dump(mode="json", exclude={"values"})
    assert ShardProfile.model_validate(stored).values == {}
    np.testing.assert_array_equal(ShardProfile.model_validate(stored).histograms["shape"], [1, 0, 0])


def test_a_set_is_counted_finding_by_finding() -> None:
    rows = [[10, "disc", marks, marks] for marks in ([1, 0], [1, None], [0, 0])]
    assert set_table(MARKS, [profile(rows)]) == [("bar", 2, 1, 0), ("dot", 0, 2, 1)]
