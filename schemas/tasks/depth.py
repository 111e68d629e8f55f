"""Depth: one distance per pixel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.metrics import Metric
from schemas.tasks.task import Task

RELATIVE_ERROR = Metric(name="relative_error", larger_is_better=False, unit="")
"""Mean of |predicted - true| / true over pixels."""


class DepthTask(Task):
    """Depths of all pixels: a 16-bit PNG or an npy array, H×W; 0 where there is none."""

    kind: Literal["depth"]
    """Kind of label: one distance per pixel."""

    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """`unit` of one step of the stored value: 0.001 for millimetres in a PNG."""

    low: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Least depth that counts, in `unit`; a pixel nearer than that has no label."""

    high: Annotated[float, Field(gt=0, le=60_000)]
    """Largest depth that counts, in `unit`; a pixel farther than that has no label."""

    unit: str = "m"
    """Unit of the depths in reports."""

    @model_validator(mode="after")
    def _check_range(self) -> DepthTask:
        if self.low >= self.high:
            raise ValueError(f"low must lie below high; found {self.low:g} and {self.high:g}")
        return self

    @property
    def per_pixel(self) -> bool:
        """True."""
        return True

    @property
    def category(self) -> str:
        """The Hub's word for it."""
        return "depth-estimation"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Mean absolute and mean relative error."""
        return Metric(name="absolute_error", larger_is_better=False, unit=self.unit), RELATIVE_ERROR

    @property
    def description(self) -> str:
        """A depth, its unit and range."""
        stored = "" if self.scale == 1 else f" (stored value × {self.scale:g})"
        return f"a depth per pixel in {self.unit}{stored}, {self.low:g} to {self.high:g}; 0 where there is none"
