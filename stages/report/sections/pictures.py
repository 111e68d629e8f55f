"""Pictures: original, published copy and their difference."""

from __future__ import annotations

from typing import Any

from stages.report.before_after import Pair
from stages.report.pictures import difference, max_levels, png_data_uri, viewable
from stages.report.report_input import ReportInput

PICTURE_SIDE = 256
"""Longer side of a picture in pixels at most."""


def facts(material: ReportInput) -> dict[str, Any]:
    """One triple a sample, and its labels where they are pictures."""
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
