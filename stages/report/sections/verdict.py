"""The head: what the evidence says in one sentence, and what was asked of it."""

from __future__ import annotations

from typing import Any

from schemas.evidence import Evidence
from stages.formatting import figure, within
from stages.report.report_input import ReportInput

LABELS = {"clean": "Clean images", "noise": "Random noise", "protected": "Protected"}
"""Version of the data → as the scale names it."""


def facts(material: ReportInput) -> dict[str, Any]:
    """The evidence, and its means as bars."""
    evidence = material.evidence
    return {
        "evidence": evidence,
        "subject": evidence.metric.subject,
        "words": evidence.metric.words,
        "chance": figure(evidence.metric, evidence.chance),
        "tick": _share(evidence, evidence.chance),
        "scale": [
            (
                data,
                label,
                _share(evidence, evidence.means[data].best),
                figure(evidence.metric, evidence.means[data].best),
                within(evidence.metric, evidence.means[data].best, evidence.means[data].best_error),
            )
            for data, label in LABELS.items()
            if data in evidence.means
        ],
    }


def _share(evidence: Evidence, value: float) -> float:
    """Length of a bar in 0..1: the share itself, or a number beside the largest one on the scale."""
    shown = [evidence.chance, *(score.best for score in evidence.means.values())]
    whole = 1.0 if evidence.metric.is_share else max(1e-12, *map(abs, shown))
    return min(1.0, max(0.0, value / whole))
