"""Does it work, task by task: curves and figures of the victims."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from schemas.evidence import VERSIONS, Evidence, TaskEvidence
from stages.audit.curves import curves
from stages.report.plots import Line, line_plot
from stages.report.sections.base import Material
from stages.report.wording import percent


def facts(material: Material) -> dict[str, Any]:
    """One row and one plot a task, the least protected first."""
    evidence = material.evidence
    versions = [data for data in VERSIONS if any(victim.data == data for victim in evidence.victims)]
    return {
        "evidence": evidence,
        "data_kinds": versions,
        "tasks": [{"task": task, "plot": _plot(evidence, task)} for task in evidence.tasks],
    }


def _plot(evidence: Evidence, task: TaskEvidence) -> Markup:
    """The strongest victim at each epoch, on each version of the data."""
    lines = []
    for data in VERSIONS:
        found = curves(evidence.victims, data, [(task.name, task.metric)])
        epochs = max(map(len, found), default=0)
        values = [max(curve[epoch] for curve in found if epoch < len(curve)) for epoch in range(epochs)]
        if values:
            lines.append(Line(data, values, data))
    reached = ", ".join(f"{data} {percent(score.last)}" for data, score in task.scores[task.metric].items())
    line, metric = task.chance[task.metric], task.metric.replace("_", " ")
    plot = line_plot(
        lines,
        title=f"{metric.capitalize()} over epochs, task {task.name}",
        description=f"On clean test data at the last epoch: {reached}; chance {percent(line)}.",
        salt=task.name,
        reference=("chance", line),
        share=True,
    )
    return Markup(plot)  # noqa: S704 - line_plot escapes what it is given
