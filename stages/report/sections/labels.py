"""Labels: input samples (or pixels) of each class, or of each range of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.records import ShardProfile
from schemas.tasks import Task
from stages.report.report_input import ReportInput
from stages.tasks.counts import grouped, label_table, set_table

CLASSES_SHOWN = 24
"""Bars of one label histogram; the remaining classes are summed up."""


def facts(material: ReportInput) -> dict[str, Any]:
    """One histogram a task, or a multi-label set."""
    return {
        "histograms": [
            _histogram(members[0], material.profiles) if len(members) == 1 else _of_set(members, material.profiles)
            for members in grouped(material.plan.published.tasks).values()
        ]
    }


def _of_set(members: Sequence[Task], profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    """Samples with each finding; labels that are missing are counted over all findings."""
    table = set_table(members, profiles)
    rows = [(name, yes) for name, yes, _, _ in table]
    shown = sorted(rows, key=lambda row: -row[1])[:CLASSES_SHOWN] if len(rows) > CLASSES_SHOWN else rows
    return {
        "name": members[0].group,
        "heading": "Finding",
        "counted": "Samples",
        "rows": shown,
        "peak": max([1, *(count for _, count in rows)]),
        "labelled": sum(yes + no for _, yes, no, _ in table),
        "missing": sum(missing for *_, missing in table),
        "hidden_classes": len(rows) - len(shown),
        "hidden_samples": sum(count for _, count in rows) - sum(count for _, count in shown),
    }


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
