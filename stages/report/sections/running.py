"""Sections on the run: the training of the generator, the environment, and the known limits."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from markupsafe import Markup

from schemas.evidence import Evidence
from schemas.records import GeneratorRecord
from schemas.secrets import scrub
from schemas.training import Train
from stages.formatting import percent
from stages.perturbers.generator.explained import drowned
from stages.perturbers.registry import PERTURBERS
from stages.publish.certificate import digest_of
from stages.report.plots import Line, line_plot
from stages.report.report_input import ReportInput


def training_facts(material: ReportInput) -> dict[str, Any]:
    """Training of the generator: its losses, and how much of δ the labels decide.

    One plot for each term of the loss: their scales differ by orders of magnitude; the share of the labels.
    """
    generator = material.generator
    if generator is None:
        return {"losses": [], "explained": "", "drowned": ""}
    terms = sorted({term for epoch in generator.losses for term in epoch}, key=lambda term: (term != "total", term))
    plots = []
    for term in terms:
        values = [epoch.get(term, math.nan) for epoch in generator.losses]
        title = f"Loss of the training ({term}), by epoch"
        description = f"From {values[0]:.4g} at the first of {len(values)} epochs to {values[-1]:.4g} at the last."
        plot = line_plot([Line(term, values)], title=title, description=description, salt=f"loss {term}")
        plots.append({"term": term, "last": f"{values[-1]:.4g}", "plot": Markup(plot)})  # noqa: S704 - escaped there
    share = generator.explained
    return {
        "losses": plots,
        "explained": "" if share is None else percent(share),
        "drowned": drowned(share),
    }


def environment_facts(material: ReportInput) -> dict[str, Any]:
    """Environment: versions, settings, places without credentials, and times.

    Versions, settings and times.
    """
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
        *_digests(material),
    ]
    return {"environment": rows, "seconds": material.seconds}


def _digests(material: ReportInput) -> list[tuple[str, str]]:
    """What `certificate.json` binds together; nothing where nothing was published."""
    if not material.manifest:
        return []
    shown = material.evidence.model_dump_json(indent=1).encode()
    return [
        ("Manifest, SHA-256", digest_of(material.manifest)),
        ("Evidence, SHA-256", digest_of(shown)),
    ]


def _victims(evidence: Evidence) -> list[tuple[str, str]]:
    """How many were trained, from which seeds; nothing where none was."""
    if not evidence.victims:
        return []
    seeds = ", ".join(map(str, sorted({victim.seed for victim in evidence.victims})))
    return [("Victims", f"{len(evidence.victims)}, seeds {seeds}")]


def _made_by(generator: GeneratorRecord | None) -> list[tuple[str, str]]:
    """Of the generator; nothing where it is unknown."""
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


def limits_facts(material: ReportInput) -> dict[str, Any]:
    """Known limits: what no figure above says.

    Nothing: the limits are the same for every run.
    """
    return {}
