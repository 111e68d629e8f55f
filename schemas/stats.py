"""Statistics that merge: the figure of a dataset is exact, whatever the sharding."""

from __future__ import annotations

import math
from collections.abc import Iterable

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


FINEST = -30
"""Exponent of the finest width of a histogram's bins: 2^-30, some 1e-9."""

MOST_BINS = 64
"""Bins that a histogram spans at most."""


class Histogram(BaseModel):
    """Counts of numbers in bins of width 2^e that begin at multiples of it; e is the least by which they span 64.

    Merged or added in any order, the same numbers give the same histogram.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exponent: int = FINEST
    """e."""
    counts: dict[int, int] = {}
    """Number i of a bin → numbers in [i·2^e, (i+1)·2^e)."""

    def add(self, values: Iterable[float]) -> Histogram:
        """The histogram with more numbers, all finite."""
        counts = dict(self.counts)
        for value in values:
            index = math.floor(math.ldexp(value, -self.exponent))
            counts[index] = counts.get(index, 0) + 1
        return Histogram(exponent=self.exponent, counts=counts)._coarsened()

    def merge(self, other: Histogram) -> Histogram:
        """The histogram of both together."""
        exponent = max(self.exponent, other.exponent)
        one, two = self._at(exponent), other._at(exponent)
        counts = {index: one.get(index, 0) + two.get(index, 0) for index in {*one, *two}}
        return Histogram(exponent=exponent, counts=counts)._coarsened()

    @property
    def total(self) -> int:
        """How many numbers it holds."""
        return sum(self.counts.values())

    def bins(self, most: int = 16) -> list[tuple[float, float, int]]:
        """(from, to, count) of each bin between the least and the largest number, `most` at most, in order."""
        exponent = self.exponent
        while counts := self._at(exponent):
            first, last = min(counts), max(counts)
            if last - first < most:
                width = math.ldexp(1.0, exponent)
                return [(i * width, (i + 1) * width, counts.get(i, 0)) for i in range(first, last + 1)]
            exponent += 1
        return []

    def _at(self, exponent: int) -> dict[int, int]:
        counts: dict[int, int] = {}
        for index, count in self.counts.items():
            coarse = index >> (exponent - self.exponent)
            counts[coarse] = counts.get(coarse, 0) + count
        return counts

    def _coarsened(self) -> Histogram:
        if not self.counts:
            return self
        first, last, steps = min(self.counts), max(self.counts), 0
        while (last >> steps) - (first >> steps) >= MOST_BINS:
            steps += 1
        if not steps:
            return Histogram(exponent=self.exponent, counts=dict(sorted(self.counts.items())))
        exponent = self.exponent + steps
        return Histogram(exponent=exponent, counts=dict(sorted(self._at(exponent).items())))


def psnr(mean_squared_error: float, *, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; infinite where nothing changed."""
    return math.inf if mean_squared_error <= 0 else 10 * math.log10(peak * peak / mean_squared_error)
