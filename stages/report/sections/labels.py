"""Labels: input samples (or pixels) of each class, or of each range of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.records import ShardProfile
from schemas.tasks import Task
from stages.report.sections.base import Material
from stages.tasks.counts import label_table

CLASSES_SHOWN = 24
"""Bars of one label histogram; the remaining classes are summed up."""


def facts(material: Material) -> dict[str, Any]:
    """One histogram a task."""
    return {"histograms": [_histogram(task, material.profiles) for task in material.plan.published.tasks]}


def _histogram(task: Task, profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    table = label_table(task, profiles)
    rows = table.rows
    if len(rows) > CLASSES_SHOWN:
        rows = sorted(rows, key=lambda row: -row[1])[:CLASSES_SHOWN]
    return {
        "name": task.name,
        "heading": "Class" if task.class_names else "Value",
        "counted": "Pixels" if task.per_pixel else "Samples",
        "rows": rows,
        "peak": max([1, *(count for _, count in table.rows)]),
        "labelled": table.total,
        "missing": table.missing,
        "hidden_classes": len(table.rows) - len(rows),
        "hidden_samples": table.total - sum(count for _, count in rows),
    }
