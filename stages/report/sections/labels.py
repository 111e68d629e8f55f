"""Labels: input samples of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.records import ShardProfile
from schemas.tasks import Task
from stages.report.sections.base import Material

CLASSES_SHOWN = 24
"""Bars of one label histogram; the remaining classes are summed up."""


def facts(material: Material) -> dict[str, Any]:
    """One histogram a task."""
    return {"histograms": [_histogram(task, material.profiles) for task in material.plan.published.tasks]}


def _histogram(task: Task, profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    counts = [0] * task.class_count
    for profile in profiles:
        for index, count in enumerate(profile.histograms.get(task.name, [])):
            counts[index] += count
    rows = list(zip(task.class_names, counts, strict=True))
    if len(rows) > CLASSES_SHOWN:
        rows = sorted(rows, key=lambda row: -row[1])[:CLASSES_SHOWN]
    labelled = sum(counts)
    return {
        "name": task.name,
        "rows": rows,
        "peak": max([1, *counts]),
        "labelled": labelled,
        "missing": sum(profile.missing.get(task.name, 0) for profile in profiles),
        "hidden_classes": task.class_count - len(rows),
        "hidden_samples": labelled - sum(count for _, count in rows),
    }
