"""Counts of labels: how many samples of each class, or which numbers; for profile, card and report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.records import ShardProfile
from schemas.stats import MOST_BINS, Histogram
from schemas.tasks import Task
from stages.tasks.kinds import kinds_of
from stages.tasks.task_kind import TaskKind


class LabelCounts:
    """What the labels of one shard are, task by task.

    Args:
        kinds: K tasks.
    """

    def __init__(self, kinds: Sequence[TaskKind]) -> None:
        self.kinds = kinds
        self.missing = {kind.task.name: 0 for kind in kinds}
        self._classes = {kind.task.name: np.zeros(len(kind.task.class_names), dtype=np.int64) for kind in kinds}
        self.values: dict[str, Histogram] = {}

    def add(self, labels: Sequence[Any]) -> None:
        """Count one sample's labels, one a task."""
        for kind, label in zip(self.kinds, labels, strict=True):
            name = kind.task.name
            if kind.is_missing(label):
                self.missing[name] += 1
                continue
            if len(self._classes[name]):
                self._classes[name] += kind.classes_in(label)
            elif len(values := kind.values_in(label)):
                self.values[name] = self.values.get(name, Histogram()).add(values.tolist())

    @property
    def histograms(self) -> dict[str, list[int]]:
        """Task → count of each class; none where it has no classes."""
        return {name: counts.tolist() for name, counts in self._classes.items()}


@dataclass(frozen=True)
class LabelTable:
    """The labels of one task over many shards, as a table for people."""

    rows: list[tuple[str, int]]
    """(class or range of numbers, count), all of them, in order."""
    missing: int
    """Samples without a label."""

    @property
    def total(self) -> int:
        """What was counted."""
        return sum(count for _, count in self.rows)


def label_table(task: Task, profiles: Sequence[ShardProfile]) -> LabelTable:
    """Sum up the profiles' counts of one task."""
    missing = sum(profile.missing.get(task.name, 0) for profile in profiles)
    if task.class_names:
        counts = [0] * len(task.class_names)
        for profile in profiles:
            for index, count in enumerate(profile.histograms.get(task.name, [])):
                counts[index] += count
        return LabelTable(list(zip(task.class_names, counts, strict=True)), missing)
    numbers = _numbers(task, profiles)
    return LabelTable([(_range(low, high), count) for low, high, count in numbers.bins()], missing)


def _numbers(task: Task, profiles: Sequence[ShardProfile]) -> Histogram:
    """The profiles' histograms of one task together."""
    merged = Histogram()
    for profile in profiles:
        merged = merged.merge(profile.values.get(task.name, Histogram()))
    return merged


def _range(low: float, high: float) -> str:
    """`8 to 12`; one number where both look the same."""
    return f"{low:g}" if f"{low:g}" == f"{high:g}" else f"{low:g} to {high:g}"


def grouped(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Name of a set, or of a task without a set → its tasks, in order."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    return groups


def set_table(members: Sequence[Task], profiles: Sequence[ShardProfile]) -> list[tuple[str, int, int, int]]:
    """(finding, samples with it, without it, without a label) of each task of a multi-label set."""
    rows = []
    for task in members:
        table = label_table(task, profiles)
        (_, no), (_, yes) = table.rows
        rows.append((task.name.removeprefix(f"{task.group}."), yes, no, table.missing))
    return rows


def only_label(task: Task, profiles: Sequence[ShardProfile]) -> str | None:
    """The class or the number that every label has; None where labels differ, and where there is none.

    Numbers that fall into one bin of the task's own `edges` count as one.
    """
    seen = [name for name, count in label_table(task, profiles).rows if count]
    if task.class_names or not seen:
        return seen[0] if len(seen) == 1 else None
    bins = _numbers(task, profiles).bins(MOST_BINS)
    low, high = bins[0][0], bins[-1][1]
    return _range(low, high) if len(bins) == 1 or not task.tells_apart(low, high) else None


def label_doubts(tasks: Sequence[Task], profiles: Sequence[ShardProfile]) -> Iterator[str]:
    """What is odd about the labels, though no error, a sentence each: classes that never occur, only one value."""
    for task in tasks:
        table = label_table(task, profiles)
        seen = [name for name, count in table.rows if count]
        only = only_label(task, profiles)
        alone = "" if only is None else f"; every label is {only!r}, so this task cannot be protected{task.doubt(only)}"
        if task.class_names and table.total and len(seen) < len(table.rows):
            absent = [name for name, count in table.rows if not count]
            shown = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
            yield (
                f"task {task.name!r}: {len(absent)} of its {len(table.rows)} classes never occur ({shown}){alone}; "
                "check the labels, or the number of classes"
            )
        elif only is not None or (not task.class_names and len(seen) == 1):
            yield f"task {task.name!r}: its values hardly differ ({seen[0]}){alone}; check the labels"


def rare_classes(tasks: Sequence[Task], profiles: Sequence[ShardProfile], batch_size: int) -> Iterator[str]:
    """A sentence about the classes that occur in fewer images than one batch has; masks count pixels, not images."""
    rare = [
        f"{kind.task.name}: {name} {count}"
        for kind in kinds_of(tasks)
        if kind.task.class_names and not kind.dense
        for name, count in label_table(kind.task, profiles).rows
        if 0 < count < batch_size
    ]
    if rare:
        shown = ", ".join(rare[:5]) + (", …" if len(rare) > 5 else "")
        yield (
            f"{len(rare)} classes have fewer images than a batch of {batch_size} ({shown}): a training sees little of "
            "them, and figures of their tasks are uncertain; add such images, or lower train.batch_size"
        )


def label_lines(tasks: Sequence[Task], profiles: Sequence[ShardProfile]) -> list[str]:
    """What the labels are, a line for each task or set: its kind, and how many labels are missing."""
    samples = sum(profile.samples for profile in profiles)
    lines = []
    for name, members in grouped(tasks).items():
        missing = sum(profile.missing.get(task.name, 0) for profile in profiles for task in members)
        many = f"{len(members)} {members[0].kind} tasks" if len(members) > 1 else members[0].description
        many = many if len(many) <= 80 else f"{many[:79]}…"
        lines.append(f"{name}: {many}; {missing} of {samples * len(members)} labels missing")
    return lines
