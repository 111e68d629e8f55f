"""Sections on the data: what was published and left out, its pictures, labels and sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from schemas.records import ShardProfile
from schemas.tasks import Task
from stages.formatting import number, strays_text
from stages.report.pictures import Pair, difference, max_levels, png_data_uri, viewable
from stages.report.report_input import ReportInput, merged
from stages.tasks.counts import grouped, label_table, set_table


def summary_facts(material: ReportInput) -> dict[str, Any]:
    """Summary: what was published, and whether the bound holds.

    Counts, bytes, bound and distances.
    """
    records, bound = material.records, material.plan.published.bound
    psnr, delta = merged([record.psnr for record in records]), merged([record.delta for record in records])
    largest = max((record.max_delta for record in records), default=0)
    return {
        "encoding": material.plan.published.encoding,
        "summary": {
            "shards": len(records),
            "planned": len(material.profiles) + sum(failure.stage == "ingest" for failure in material.failures),
            "samples": sum(record.samples for record in records),
            "bytes_in": sum(profile.bytes for profile in material.profiles),
            "bytes_out": sum(record.bytes for record in records),
            "quarantined": len(material.quarantined),
            "failed": len(material.failures),
            "max_delta": largest,
            "bound": bound,
            "holds": largest <= bound,
            "psnr_mean": number(psnr.mean) if psnr.count else "–",
            "psnr_minimum": number(psnr.minimum) if psnr.count else "–",
            "delta_mean": number(delta.mean, 2) if delta.count else "–",
        },
    }


PICTURE_SIDE = 256
"""Longer side of a picture in pixels at most."""


def pictures_facts(material: ReportInput) -> dict[str, Any]:
    """Pictures: original, published copy and their difference.

    One triple a sample, and its labels where they are pictures.
    """
    return {"pictures": [_picture(pair) for pair in material.pictures]}


def _picture(pair: Pair) -> dict[str, Any]:
    key, clean, protected, labels = pair
    shown = [
        ("clean", clean),
        ("protected", protected),
        ("difference ×16", difference(clean, protected)),
        *labels,
    ]
    return {
        "key": key,
        "size": f"{clean.shape[1]}×{clean.shape[0]}",
        "largest": f"{max_levels(clean, protected):.3g}",
        "images": [(title, png_data_uri(viewable(pixels, PICTURE_SIDE))) for title, pixels in shown],
    }


CLASSES_SHOWN = 24
"""Bars of one label histogram; the remaining classes are summed up."""


def labels_facts(material: ReportInput) -> dict[str, Any]:
    """Labels: input samples (or pixels) of each class, or of each range of numbers.

    One histogram a task, or a multi-label set.
    """
    return {
        "histograms": [
            _histogram(members[0], material.profiles) if len(members) == 1 else _of_set(members, material.profiles)
            for members in grouped(material.plan.published.tasks).values()
        ]
    }


def _of_set(members: Sequence[Task], profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    """Samples with each finding; labels that are missing are counted over all findings."""
    table = set_table(members, profiles)
    rows = [(name, yes) for name, yes, _, _ in table]
    shown = sorted(rows, key=lambda row: -row[1])[:CLASSES_SHOWN] if len(rows) > CLASSES_SHOWN else rows
    return {
        "name": members[0].group,
        "heading": "Finding",
        "counted": "Samples",
        "rows": shown,
        "peak": max([1, *(count for _, count in rows)]),
        "labelled": sum(yes + no for _, yes, no, _ in table),
        "missing": sum(missing for *_, missing in table),
        "hidden_classes": len(rows) - len(shown),
        "hidden_samples": sum(count for _, count in rows) - sum(count for _, count in shown),
    }


def _histogram(task: Task, profiles: Sequence[ShardProfile]) -> dict[str, Any]:
    table = label_table(task, profiles)
    rows = table.rows
    if len(rows) > CLASSES_SHOWN:
        rows = sorted(rows, key=lambda row: -row[1])[:CLASSES_SHOWN]
    return {
        "name": task.name,
        "heading": "Class" if task.class_names else "Value",
        "counted": "Pixels" if task.per_pixel else "Samples",
        "rows": rows,
        "peak": max([1, *(count for _, count in table.rows)]),
        "labelled": table.total,
        "missing": table.missing,
        "hidden_classes": len(table.rows) - len(rows),
        "hidden_samples": table.total - sum(count for _, count in rows),
    }


def sizes_facts(material: ReportInput) -> dict[str, Any]:
    """Sizes and modes of the input images.

    Smallest, mean and largest side, and how many samples have which mode.
    """
    profiles = material.profiles
    modes: Counter[str] = Counter()
    for profile in profiles:
        modes.update(profile.modes)
    sides = {"width": [profile.width for profile in profiles], "height": [profile.height for profile in profiles]}
    sizes = {
        "modes": sorted(modes.items(), key=lambda item: (-item[1], item[0])),
        "rotated": sum(profile.rotated for profile in profiles),
        "rows": [
            (name, number(merged.minimum, 0), number(merged.mean), number(merged.maximum, 0))
            for name, merged in ((name, merged(moments)) for name, moments in sides.items())
            if merged.count
        ],
    }
    return {"sizes": sizes}


QUARANTINE_SHOWN = 50
"""Samples listed by name; all are counted."""


def left_out_facts(material: ReportInput) -> dict[str, Any]:
    """Left out: samples that were quarantined, and shards that failed.

    Counts by reason, and the first by name.
    """
    quarantined = material.quarantined
    return {
        "quarantined": quarantined[:QUARANTINE_SHOWN],
        "quarantine_count": len(quarantined),
        "reasons": Counter(sample.reason for sample in quarantined).most_common(),
        "strays": strays_text(material.profiles),
        "failures": sorted(material.failures, key=lambda failure: failure.name),
    }
