"""Environment: versions, settings, places without credentials, and times."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from schemas.evidence import Evidence
from schemas.records import GeneratorRecord
from schemas.secrets import scrub
from schemas.training import Train
from stages.perturbers.registry import PERTURBERS
from stages.report.report_input import ReportInput


def facts(material: ReportInput) -> dict[str, Any]:
    """Versions, settings and times."""
    plan, generator, train = material.plan, material.generator, material.plan.train
    rows = [
        ("mtlue", _version("mtlue")),
        ("PyTorch", _version("torch")),
        ("Python", platform.python_version()),
        ("Method", _method(train)),
        *_made_by(generator),
        ("Seed", str(train.seed)),
        *_victims(material.evidence),
        ("Input", ", ".join(map(scrub, plan.source))),
        ("Output (public)", scrub(plan.output)),
        ("Work (private)", scrub(plan.work)),
    ]
    return {"environment": rows, "seconds": material.seconds}


def _victims(evidence: Evidence) -> list[tuple[str, str]]:
    """How many were trained, from which seeds; nothing where none was."""
    if not evidence.victims:
        return []
    seeds = ", ".join(map(str, sorted({victim.seed for victim in evidence.victims})))
    return [("Victims", f"{len(evidence.victims)}, seeds {seeds}")]


def _made_by(generator: GeneratorRecord | None) -> list[tuple[str, str]]:
    """Of the generator; nothing where none is known."""
    if generator is None:
        return []
    spec = generator.spec
    return [
        ("Generator", f"{spec.preset or spec.network}, {spec.resolution} px, {generator.fingerprint}"),
        ("Training", f"{generator.steps:,} steps on {generator.samples:,} samples"),
        ("Epsilon", f"{spec.epsilon * 255:.4g}/255"),
    ]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed as a package"


def _method(train: Train) -> str:
    return ", ".join([PERTURBERS[train.perturber].wording(train), *_shape(train)])


def _shape(train: Train) -> Iterator[str]:
    if train.robust:
        yield f"made to survive {', '.join(train.robust)}"
    if train.achromatic:
        yield "one δ for all channels"
    if train.cell > 1:
        yield f"cells of {train.cell} px"
