"""What the protection gives away: the leak tests, each with its chance line and what it means."""

from __future__ import annotations

from typing import Any

from schemas.evidence import Leak
from stages.formatting import figure, within
from stages.report.report_input import ReportInput

QUESTIONS = {
    "detectable": "Can a linear model tell protected from clean images?",
    "delta_alone": "What does the perturbation alone say of a label?",
    "unlisted": "What remains of tasks that were left open?",
}
"""Leak test → what it asks."""

MEANINGS = {
    "detectable": "Near 100 % means that a simple filter finds the protected images. It does not undo them.",
    "delta_alone": (
        "High is what makes the shortcut strong. It also means that whoever holds a clean and a protected copy can "
        "read the label off their difference."
    ),
    "unlisted": "High means that these tasks can be learned from the protected images, as was wanted.",
}
"""Leak test → how to read it."""


def facts(material: ReportInput) -> dict[str, Any]:
    """A table a test, in the order in which they were done."""
    leaks = material.evidence.leaks
    names = dict.fromkeys(leak.name for leak in leaks)
    return {
        "leaks": [
            {
                "question": QUESTIONS[name],
                "meaning": MEANINGS[name],
                "compared": [
                    data
                    for data in ("clean", "noise")
                    if any(getattr(leak, data) is not None for leak in leaks if leak.name == name)
                ],
                "rows": [leak_row(leak) for leak in leaks if leak.name == name],
            }
            for name in names
        ],
        "measured": bool(material.evidence.means),
        "unlisted": "unlisted" in names,
    }


def leak_row(leak: Leak) -> dict[str, str]:
    """Figures as text."""
    return {
        "about": leak.task or "all images",
        "metric": leak.metric.words,
        "reached": figure(leak.metric, leak.reached, 1),
        "within": within(leak.metric, leak.reached, leak.error),
        "clean": "–" if leak.clean is None else figure(leak.metric, leak.clean, 1),
        "noise": "–" if leak.noise is None else figure(leak.metric, leak.noise, 1),
        "chance": figure(leak.metric, leak.chance, 1),
    }
