"""What an attacker can do about it: every countermeasure that was tried, the worst row first, and what was not run."""

from __future__ import annotations

from typing import Any

from schemas.evidence import AttackEvidence, Evidence
from stages.countermeasures.words import WORDS
from stages.formatting import figure, within
from stages.report.report_input import ReportInput


def facts(material: ReportInput) -> dict[str, Any]:
    """One row a countermeasure; those that need originals of the dataset stand in a table of their own."""
    evidence = material.evidence
    return {
        "counted": [_row(evidence, attack) for attack in evidence.attacks if attack.counts],
        "leaks": [_row(evidence, attack) for attack in evidence.attacks if not attack.counts],
        "chance": figure(evidence.metric, evidence.chance, 1),
        "figure": evidence.metric.words,
        "left_out": evidence.left_out,
        "not_tried": [
            words for name, words in WORDS.items() if name not in {attack.name for attack in evidence.attacks}
        ],
    }


def _row(evidence: Evidence, attack: AttackEvidence) -> dict[str, str]:
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
