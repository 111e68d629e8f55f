"""Counts of labels: how many samples of each class, or which numbers; for profile, card and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.records import ShardProfile
from schemas.stats import Histogram
from schemas.tasks import Task
from stages.tasks.base import TaskKind


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
    merged = Histogram()
    for profile in profiles:
        merged = merged.merge(profile.values.get(task.name, Histogram()))
    return LabelTable([(f"{low:g} to {high:g}", count) for low, high, count in merged.bins()], missing)
