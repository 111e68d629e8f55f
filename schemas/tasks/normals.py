"""Surface normals: one direction per pixel."""

from __future__ import annotations

from typing import Literal

from schemas.metrics import Metric
from schemas.tasks.task import Task

ANGLES = (11.25, 22.5, 30.0)
"""Degrees within which a normal counts as right, as usual on NYUv2."""

MEAN_ANGLE = Metric(name="mean_angle", larger_is_better=False, unit="°")
"""Mean over pixels of the angle between predicted and true normal."""

MEDIAN_ANGLE = Metric(name="median_angle", larger_is_better=False, unit="°")
"""Median of the same."""


class NormalsTask(Task):
    """Unit vectors of all pixels in camera axes, x to the right: an npy array, H×W×3 or 3×H×W, or an RGB PNG.

    A PNG holds round(127.5·(n + 1)). A pixel without a normal holds 0, 0, 0 (PNG: 127 or 128 three times).
    """

    kind: Literal["normals"]
    """Kind of label: one direction per pixel."""

    @property
    def per_pixel(self) -> bool:
        """True."""
        return True

    @property
    def category(self) -> str:
        """The Hub's word for it."""
        return "image-to-image"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Mean and median angle, and the shares within `ANGLES`."""
        return (
            MEAN_ANGLE,
            MEDIAN_ANGLE,
            *(Metric(name=f"within_{angle:g}", title=f"within {angle:g}°") for angle in ANGLES),
        )

    @property
    def description(self) -> str:
        """A direction."""
        return "a unit normal per pixel in camera axes, x to the right; 0, 0, 0 where there is none"
