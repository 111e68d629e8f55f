"""Sections on the evidence: cover, verdict, victims, countermeasures, and what the protection gives away."""

from __future__ import annotations

from typing import Any

from schemas.evidence import AttackEvidence, Cell, Evidence, Leak
from schemas.metrics import Metric
from stages.countermeasures.words import WORDS
from stages.formatting import figure, within
from stages.publish.certificate import statement
from stages.report.report_input import ReportInput

LABELS = {"clean": "Clean images", "noise": "Random noise", "protected": "Protected"}
"""Version of the data → as the scale names it."""


def cover_facts(material: ReportInput) -> dict[str, Any]:
    """One paragraph; where nothing was published it says so."""
    samples, published = sum(record.samples for record in material.records), material.plan.published
    return {"statement": statement(published.name, samples, published.bound, material.evidence) if samples else ""}


def verdict_facts(material: ReportInput) -> dict[str, Any]:
    """The head: what the evidence says in one sentence, and what was asked of it.

    The evidence, and its means as bars.
    """
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


def victims_facts(material: ReportInput) -> dict[str, Any]:
    """Every kind of victim: what each reached over its seeds, the strongest on protected data first.

    One row a cell.
    """
    evidence = material.evidence
    return {
        "cells": [cell_row(evidence.metric, cell) for cell in evidence.cells],
        "notes": evidence.notes,
        "figure": evidence.metric.words,
        "several": any(cell.seeds > 1 for cell in evidence.cells),
    }


def cell_row(metric: Metric, cell: Cell) -> dict[str, str]:
    """Figures as text, with their deviation over the seeds."""
    return {
        "victim": f"{cell.backbone}{', one task each' if cell.single else ''} at {cell.learning_rate:g}",
        "data": cell.data,
        "seeds": str(cell.seeds),
        "best": _spread(metric, cell.best, cell.best_deviation),
        "last": _spread(metric, cell.last, cell.last_deviation),
    }


def _spread(metric: Metric, mean: float, deviation: float | None) -> str:
    """`14.2 %`, of several seeds `14.2 % ± 1.1`."""
    apart = "" if deviation is None else f" ± {figure(metric, deviation, 1).removesuffix(metric.unit).strip()}"
    return figure(metric, mean, 1) + apart


def countermeasures_facts(material: ReportInput) -> dict[str, Any]:
    """What an attacker can do about it: every countermeasure that was tried, the worst row first, and what was not run.

    One row a countermeasure; those that need originals of the dataset stand in a table of their own.
    """
    evidence = material.evidence
    return {
        "counted": [_countermeasure_row(evidence, attack) for attack in evidence.attacks if attack.counts],
        "leaks": [_countermeasure_row(evidence, attack) for attack in evidence.attacks if not attack.counts],
        "chance": figure(evidence.metric, evidence.chance, 1),
        "figure": evidence.metric.words,
        "left_out": evidence.left_out,
        "not_tried": [
            words for name, words in WORDS.items() if name not in {attack.name for attack in evidence.attacks}
        ],
    }


def _countermeasure_row(evidence: Evidence, attack: AttackEvidence) -> dict[str, str]:
    """Figures as text; a dash where there is none."""
    metric, means = evidence.metric, attack.means

    def shown(data: str, which: str) -> str:
        return figure(metric, getattr(means[data], which), 1) if data in means else "–"

    def around(data: str, which: str) -> str:
        score = means.get(data)
        return "" if score is None else within(metric, getattr(score, which), getattr(score, f"{which}_error"))

    return {
        "name": attack.name,
        "words": WORDS.get(attack.name, attack.name),
        "note": evidence.attack_note(attack.name),
        "best": shown("protected", "best"),
        "last": shown("protected", "last"),
        "clean": shown("clean", "best"),
        "best_within": around("protected", "best"),
        "last_within": around("protected", "last"),
        "clean_within": around("clean", "best"),
    }


QUESTIONS = {
    "detectable": "Can a linear model tell protected from clean images?",
    "delta_alone": "What does the perturbation alone say of a label?",
    "unlisted": "What remains of tasks that were left open?",
}
"""Leak test → what it asks."""

MEANINGS = {
    "detectable": "Near 100 % means that a simple filter finds the protected images. It does not undo them.",
    "delta_alone": (
        "A high figure is a strong shortcut. It also means that the difference between a clean and a protected copy "
        "shows the label."
    ),
    "unlisted": "High means that these tasks can be learned from the protected images, as was wanted.",
}
"""Leak test → how to read it."""


def leaks_facts(material: ReportInput) -> dict[str, Any]:
    """What the protection gives away: the leak tests, each with its chance line and what it means.

    A table a test, in the order in which they were done.
    """
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
