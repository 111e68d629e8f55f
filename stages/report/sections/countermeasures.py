"""What an attacker can do about it: every countermeasure that was tried, the worst row first, and what was not run."""

from __future__ import annotations

from typing import Any

from schemas.evidence import AttackEvidence, Evidence
from stages.report.sections.base import Material
from stages.report.wording import figure, within

WORDS = {
    "none": "no countermeasure",
    "gray": "grayscale",
    "jpeg95": "JPEG, quality 95",
    "jpeg75": "JPEG, quality 75",
    "jpeg50": "JPEG, quality 50",
    "jpeg10": "JPEG, quality 10",
    "webp75": "WebP, quality 75",
    "bits2": "2 bits a colour",
    "bits3": "3 bits a colour",
    "bits4": "4 bits a colour",
    "bits5": "5 bits a colour",
    "blur": "Gaussian blur",
    "median": "median filter",
    "down_up": "down to half and up again",
    "low_pass": "high frequencies removed",
    "high_pass": "low frequencies removed",
    "half_size": "training at half the size",
    "larger": "training at 1.5 times the size",
    "jitter": "random windows and colour jitter",
    "cutout": "cutout",
    "ueraser": "plasma augmentation (UEraser)",
    "mixup": "mixup",
    "cutmix": "CutMix",
    "adversarial4": "adversarial training, 4/255",
    "adversarial8": "adversarial training, 8/255",
    "projection": "orthogonal projection",
    "mean_projection": "projection of class means",
    "class_means": "class means subtracted",
    "class_means_8": "class means subtracted, up to 8 levels",
    "clean_samples": "2 % of the originals added",
    "pretrained": "pretrained weights, fine-tuned",
    "pretrained_frozen": "pretrained weights, frozen",
    "purifier": "a purifier from 200 leaked pairs",
    "coverage80": "only 80 % protected",
    "coverage60": "only 60 % protected",
    "coverage40": "only 40 % protected",
    "coverage20": "only 20 % protected",
}
"""Countermeasure → what it is, for people."""


def facts(material: Material) -> dict[str, Any]:
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
        "best": shown("protected", "best"),
        "last": shown("protected", "last"),
        "clean": shown("clean", "best"),
        "best_within": around("protected", "best"),
        "last_within": around("protected", "last"),
        "clean_within": around("clean", "best"),
    }
