"""Regression: one number per image."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.metrics import Metric
from schemas.model import Model
from schemas.tasks.task import Sentinel, Task, is_missing, is_sentinel

Number = Annotated[float, Field(allow_inf_nan=False)]


class Values(Model):
    """What a training set showed of a regression's values."""

    edges: list[float]
    """Between the bins of the embedding, ascending."""
    low: float
    """Least value."""
    high: float
    """Largest value."""
    mean: float
    """Mean of the values."""
    deviation: float
    """Standard deviation, above 0."""


class RegressionTask(Task):
    """A number; its bins give the class of the embedding, its loss and its metrics are on the value."""

    kind: Literal["regression"]
    """Kind of label: one number per image."""

    bins: Annotated[int, Field(ge=2, le=1000)] = 8
    """Bins of the embedding: quantiles of the training set."""

    edges: list[Number] | None = Field(default=None, min_length=1)
    """Edges between the bins, ascending, in the label's unit; instead of quantiles. What lies on one lies above it."""

    low: Number | None = None
    """Least value that a label may have."""

    high: Number | None = None
    """Largest value that a label may have."""

    missing: Sentinel | None = None
    """What stands for no label in the data besides null, NaN and empty text, such as -1."""

    unit: str = ""
    """Unit of the labels in reports, such as `years`."""

    values: Values | None = None
    """What the training set showed; written when the training starts, so that protection uses the same bins."""

    @model_validator(mode="after")
    def _check_range(self) -> RegressionTask:
        if self.edges is not None and any(b <= a for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"edges must ascend; found {self.edges}")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low must lie below high; found {self.low:g} and {self.high:g}")
        if self.unit == "%":
            raise ValueError("unit '%' is kept for shares; found '%'; write 'percent'")
        return self

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Mean absolute error, and the share of the variance that is explained."""
        error = Metric(name="mae", title="mean absolute error", larger_is_better=False, unit=self.unit)
        return error, Metric(name="r2", title="R²", unit="")

    @property
    def category(self) -> str:
        """The Hub has no word for it."""
        return "other"

    @property
    def feature(self) -> dict[str, Any]:
        """Numbers."""
        return {"dtype": "float64", "_type": "Value"}

    @property
    def description(self) -> str:
        """A number, its unit and range."""
        unit = f" in {self.unit}" if self.unit else ""
        low = "" if self.low is None else f", at least {self.low:g}"
        high = "" if self.high is None else f", at most {self.high:g}"
        return f"a number{unit}{low}{high}"

    def tells_apart(self, low: float, high: float) -> bool:
        """Whether one of the edges lies between them; without edges, quantiles do."""
        return self.edges is None or any(low < edge < high for edge in self.edges)

    def label(self, raw: Any) -> float:
        """Turn the raw value of a field into a number; NaN means that there is none.

        Raises:
            SampleError: `label-unreadable`, or `label-out-of-range`.
        """
        if is_missing(raw) or is_sentinel(raw, self.missing):
            return math.nan
        try:
            value = float(raw) if isinstance(raw, str | int | float) and not isinstance(raw, bool) else math.nan
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise self.unreadable(raw, "a finite number")
        low, high = (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)
        if not low <= value <= high:
            raise self.out_of_range(
                f"{value:g}", f"{low:g}..{high:g}", f"correct the label, or `low` and `high`{self.offer_missing(value)}"
            )
        return value
