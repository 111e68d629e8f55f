"""Statistics that merge: the figure of a dataset is exact, whatever the sharding."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict


class Moments(BaseModel):
    """Count, mean, variance and range of a stream of numbers (Welford; merged after Chan, Golub and LeVeque, 1979)."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    """Sum of squared distances from the mean."""
    minimum: float = math.inf
    maximum: float = -math.inf

    def add(self, value: float) -> Moments:
        """The moments with one more value."""
        count = self.count + 1
        step = value - self.mean
        mean = self.mean + step / count
        return Moments(
            count=count,
            mean=mean,
            m2=self.m2 + step * (value - mean),
            minimum=min(self.minimum, value),
            maximum=max(self.maximum, value),
        )

    def merge(self, other: Moments) -> Moments:
        """The moments of both streams together."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        step = other.mean - self.mean
        return Moments(
            count=count,
            mean=self.mean + step * other.count / count,
            m2=self.m2 + other.m2 + step * step * self.count * other.count / count,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )

    @property
    def deviation(self) -> float:
        """Standard deviation (population); 0 for fewer than two values."""
        return math.sqrt(self.m2 / self.count) if self.count > 1 else 0.0


def psnr(mean_squared_error: float, *, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; infinite where nothing changed."""
    return math.inf if mean_squared_error <= 0 else 10 * math.log10(peak * peak / mean_squared_error)
