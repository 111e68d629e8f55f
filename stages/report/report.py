"""The HTML report of one run: one file that needs nothing else, for the person who decides whether to publish.

It is private: it shows originals and the amplified perturbation, and belongs into `work`, never into `output`.
"""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from importlib import metadata
from typing import Any

import jinja2
from markupsafe import Markup

from schemas.config import Config
from schemas.records import (
    AuditRecord,
    GeneratorRecord,
    Quarantined,
    ShardFailure,
    ShardProfile,
    ShardRecord,
    once_each,
)
from schemas.secrets import scrub
from schemas.stats import Moments
from schemas.tasks import Task
from stages.audit.verdict import DATA, TaskVerdict, reach_verdict
from stages.io.images.codecs import Pixels
from stages.report.pictures import difference, max_levels, png_data_uri, viewable
from stages.report.plots import Line, line_plot
from stages.report.wording import duration, number, percent

QUARANTINE_SHOWN = 50
"""Samples listed by name; all are counted."""

CLASSES_SHOWN = 24
"""Bars of one label histogram; the remaining classes are summed up."""

PICTURE_SIDE = 256
"""Longer side of a picture in pixels at most."""


def build_report(
    config: Config,
    profiles: Sequence[ShardProfile],
    generator: GeneratorRecord,
    records: Sequence[ShardRecord],
    failures: Sequence[ShardFailure],
    audit: AuditRecord | None,
    pictures: Sequence[tuple[str, Pixels, Pixels]],
    *,
    seconds: dict[str, float],
) -> str:
    """Write the report.

    Args:
        config: the run's configuration; of its addresses only the part without credentials is shown.
        profiles: of every input shard.
        generator: the generator that protected the shards.
        records: of every published shard.
        failures: shards that could not be processed.
        audit: what victims reached; None when no audit was run, which the report says.
        pictures: (key, clean H×W×C, protected H×W×C), uint8 or uint16, as `stages.pictures` takes them.
        seconds: stage → wall time in s; the only part of the result that differs between equal runs.

    Returns:
        One HTML document without script and without a single outside request. All text from the data is escaped.
    """
    verdict = reach_verdict(config, audit)
    left_out = [*(profile.quarantined for profile in profiles), *(record.quarantined for record in records)]
    quarantined = once_each(sample for found in left_out for sample in found)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stages.report", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, scrub=scrub, duration=duration)
    style = environment.get_template("report.css").render()
    page = environment.get_template("report.html.j2")
    return page.render(
        style=Markup(style),  # noqa: S704 - our own style sheet
        config=config,
        verdict=verdict,
        audit=audit,
        audit_tasks=[_audit_task(audit, task) for task in verdict.tasks] if audit else [],
        data_kinds=[data for data in DATA if audit and audit.of(data)],
        summary=_summary(config, profiles, records, failures, quarantined),
        pictures=[_picture(*picture) for picture in pictures],
        histograms=[_histogram(task, profiles) for task in config.tasks],
        sizes=_sizes(profiles),
        quarantined=quarantined[:QUARANTINE_SHOWN],
        quarantine_count=len(quarantined),
        reasons=Counter(sample.reason for sample in quarantined).most_common(),
        failures=sorted(failures, key=lambda failure: failure.name),
        generator=generator,
        losses=_losses(generator),
        environment=_environment(config, generator),
        seconds=seconds,
    )


def _merged(moments: Sequence[Moments]) -> Moments:
    return reduce(Moments.merge, moments, Moments())


def _summary(
    config: Config,
    profiles: Sequence[ShardProfile],
    records: Sequence[ShardRecord],
    failures: Sequence[ShardFailure],
    quarantined: Sequence[Quarantined],
) -> dict[str, Any]:
    psnr, delta = _merged([record.psnr for record in records]), _merged([record.delta for record in records])
    largest = max((record.max_delta for record in records), default=0)
    return {
        "shards": len(records),
        "planned": len(records) + len(failures),
        "samples": sum(record.samples for record in records),
        "bytes_in": sum(profile.bytes for profile in profiles),
        "bytes_out": sum(record.bytes for record in records),
        "quarantined": len(quarantined),
        "failed": len(failures),
        "max_delta": largest,
        "bound": config.protection.bound,
        "holds": largest <= config.protection.bound,
        "psnr_mean": number(psnr.mean) if psnr.count else "–",
        "psnr_minimum": number(psnr.minimum) if psnr.count else "–",
        "delta_mean": number(delta.mean, 2) if delta.count else "–",
    }


def _audit_task(audit: AuditRecord, task: TaskVerdict) -> dict[str, Any]:
    lines = []
    for data in DATA:
        victims = audit.of(data)
        epochs = max((len(victim.balanced) for victim in victims), default=0)
        values = [
            max(victim.balanced[epoch][task.name] for victim in victims if epoch < len(victim.balanced))
            for epoch in range(epochs)
        ]
        if values:
            lines.append(Line(data, values, data))
    reached = ", ".join(f"{data} {percent(score.last)}" for data, score in task.balanced.items())
    plot = line_plot(
        lines,
        title=f"Balanced accuracy over epochs, task {task.name}",
        description=f"On clean test data at the last epoch: {reached}; chance {percent(task.chance)}.",
        salt=task.name,
        reference=("chance", task.chance),
        share=True,
    )
    return {"verdict": task, "plot": Markup(plot)}  # noqa: S704 - line_plot escapes what it is given


def _picture(key: str, clean: Pixels, protected: Pixels) -> dict[str, Any]:
    shown = (clean, protected, difference(clean, protected))
    return {
        "key": key,
        "size": f"{clean.shape[1]}×{clean.shape[0]}",
        "largest": f"{max_levels(clean, protected):.3g}",
        "images": [
            (title, png_data_uri(viewable(pixels, PICTURE_SIDE)))
            for title, pixels in zip(("clean", "protected", "difference ×16"), shown, strict=True)
        ],
    }


def _histogram(task: Task, profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    counts = [0] * task.class_count
    for profile in profiles:
        for index, count in enumerate(profile.histograms.get(task.name, [])):
            counts[index] += count
    rows = list(zip(task.class_names, counts, strict=True))
    if len(rows) > CLASSES_SHOWN:
        rows = sorted(rows, key=lambda row: -row[1])[:CLASSES_SHOWN]
    labelled = sum(counts)
    return {
        "name": task.name,
        "rows": rows,
        "peak": max([1, *counts]),
        "labelled": labelled,
        "missing": sum(profile.missing.get(task.name, 0) for profile in profiles),
        "hidden_classes": task.class_count - len(rows),
        "hidden_samples": labelled - sum(count for _, count in rows),
    }


def _sizes(profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    modes: Counter[str] = Counter()
    for profile in profiles:
        modes.update(profile.modes)
    sides = {"width": [profile.width for profile in profiles], "height": [profile.height for profile in profiles]}
    return {
        "modes": sorted(modes.items(), key=lambda item: (-item[1], item[0])),
        "rotated": sum(profile.rotated for profile in profiles),
        "rows": [
            (name, number(merged.minimum, 0), number(merged.mean), number(merged.maximum, 0))
            for name, merged in ((name, _merged(moments)) for name, moments in sides.items())
            if merged.count
        ],
    }


def _losses(generator: GeneratorRecord) -> list[dict[str, Any]]:
    """One plot for each term of the loss: their scales differ by orders of magnitude."""
    terms = sorted({term for epoch in generator.losses for term in epoch}, key=lambda term: (term != "total", term))
    plots = []
    for term in terms:
        values = [epoch.get(term, math.nan) for epoch in generator.losses]
        title = f"Training loss over epochs: {term}"
        description = f"From {values[0]:.4g} at the first of {len(values)} epochs to {values[-1]:.4g} at the last."
        plot = line_plot([Line(term, values)], title=title, description=description, salt=f"loss {term}")
        plots.append({"term": term, "last": f"{values[-1]:.4g}", "plot": Markup(plot)})  # noqa: S704 - escaped there
    return plots


def _environment(config: Config, generator: GeneratorRecord) -> list[tuple[str, str]]:
    train = config.train
    return [
        ("mtlue", _version("mtlue")),
        ("PyTorch", _version("torch")),
        ("Python", platform.python_version()),
        ("Method", f"{train.method.upper()}, surrogate {train.backbone}, width {train.width}"),
        ("Generator", f"{generator.preset}, {generator.resolution} px, {generator.fingerprint}"),
        ("Training", f"{train.epochs} epochs, {generator.steps:,} steps on {generator.samples:,} samples"),
        ("Seed", str(train.seed)),
        ("Epsilon", f"{generator.epsilon * 255:.4g}/255"),
        ("Input", ", ".join(_shown(config.dataset.shards))),
        ("Output (public)", scrub(config.output)),
        ("Work (private)", scrub(config.work)),
    ]


def _shown(patterns: str | list[str]) -> list[str]:
    return [scrub(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed as a package"
