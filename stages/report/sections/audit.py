"""Does it work, task by task: curves and figures of the victims."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from schemas.evidence import VERSIONS, Evidence, SetEvidence, TaskEvidence
from schemas.metrics import ACCURACY, BALANCED_ACCURACY
from stages.audit.curves import Measure, curves
from stages.audit.judging import counts
from stages.formatting import figure, percent, within
from stages.report.plots import Line, line_plot
from stages.report.report_input import ReportInput


def facts(material: ReportInput) -> dict[str, Any]:
    """One row and one plot a task, the least protected first."""
    evidence = material.evidence
    versions = [data for data in VERSIONS if any(victim.data == data for victim in evidence.victims)]
    return {
        "evidence": evidence,
        "data_kinds": versions,
        "balanced_only": all(task.metric == BALANCED_ACCURACY.name for task in evidence.tasks),
        "intervals": any(
            score.best_error is not None for task in evidence.tasks for score in task.judged_scores.values()
        ),
        "sets": [_set_row(found, versions) for found in evidence.sets],
        "tasks": [_row(evidence, task, versions) for task in evidence.tasks],
    }


def _set_row(found: SetEvidence, versions: list[str]) -> dict[str, Any]:
    """One row a figure of a multi-label set: means over its findings at the best epoch."""
    return {
        "name": f"{found.name} ({len(found.tasks)})",
        "figures": [
            {
                "metric": metric.words,
                "judged": {data: figure(metric, found.scores[name][data].best, 1) for data in versions},
                "within": {
                    data: within(metric, found.scores[name][data].best, found.scores[name][data].best_error)
                    for data in versions
                },
                "chance": figure(metric, found.chance[name], 1),
            }
            for name, metric in found.metrics.items()
        ],
    }


def _row(evidence: Evidence, task: TaskEvidence, versions: list[str]) -> dict[str, Any]:
    judged_by, majority = task.judged_by, task.chance.get(ACCURACY.name)
    return {
        "task": task,
        "metric": judged_by.words.capitalize() if judged_by.words.islower() else judged_by.words,
        "judged": {data: figure(judged_by, task.judged(data).best, 1) for data in versions},
        "within": {data: within(judged_by, task.judged(data).best, task.judged(data).best_error) for data in versions},
        "chance": figure(judged_by, task.chance[task.metric], 1),
        "majority": "–" if majority is None else percent(majority, 1),
        "metrics": [_figures(task, name) for name in task.scores],
        "plot": _plot(evidence, task),
    }


def _figures(task: TaskEvidence, name: str) -> dict[str, Any]:
    """One metric of one task: its heading, its chance line, last and best on each version."""
    metric = task.metric_of(name)
    return {
        "heading": {"balanced_accuracy": "balanced"}.get(name, metric.words),
        "chance": figure(metric, task.chance[name], 1),
        "scores": {
            data: (
                figure(metric, score.last, 1),
                within(metric, score.last, score.last_error),
                figure(metric, score.best, 1),
                within(metric, score.best, score.best_error),
            )
            for data, score in task.scores[name].items()
        },
    }


def _plot(evidence: Evidence, task: TaskEvidence) -> Markup:
    """The strongest victim at each epoch, on each version of the data."""
    lines, metric = [], task.judged_by
    for data in VERSIONS:
        found = curves([victim for victim in evidence.victims if counts(victim)], data, [Measure(task.name, metric)])
        epochs = max(map(len, found), default=0)
        values = [metric.best(curve[epoch] for curve in found if epoch < len(curve)) for epoch in range(epochs)]
        if values:
            lines.append(Line(data, values, data))
    reached = ", ".join(f"{data} {figure(metric, score.last)}" for data, score in task.judged_scores.items())
    line = task.chance[task.metric]
    unit = f" ({metric.unit})" if metric.unit and not metric.is_share else ""
    plot = line_plot(
        lines,
        title=f"{task.name}: {metric.words}{unit} on clean test data, by epoch",
        description=f"At the last epoch: {reached}; chance {figure(metric, line)}.",
        salt=task.name,
        reference=("chance", line),
        share=metric.is_share,
    )
    return Markup(plot)  # noqa: S704 - line_plot escapes what it is given
