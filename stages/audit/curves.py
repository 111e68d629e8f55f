"""Curves of an audit: what victims reach, epoch by epoch, in the mean over some tasks.

A multi-task victim has a curve of its own. The single-task victims of one setting (`VictimResult.setting`) are what one
attacker would train side by side: together they count as one victim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.evidence import Score, VictimResult
from schemas.metrics import ADVANTAGE, Metric

Figures = Sequence[dict[str, dict[str, float]]]
"""Per epoch: task → metric → figure."""


class Attacker(NamedTuple):
    """What one attacker has trained."""

    figures: Figures
    errors: Figures
    """Standard errors of the figures; an epoch without a task has none of it."""


class Point(NamedTuple):
    """The mean over measures at one epoch."""

    value: float
    error: float | None
    """Its standard error, were the measures' own errors all of one sign: never too small. None: unknown."""


class Measure(NamedTuple):
    """One figure of one task, or how far it lies beyond chance."""

    task: str
    metric: Metric
    chance: float | None = None
    """None: the figure itself; else its advantage over this, which has one direction and one scale in every task."""

    def value(self, epoch: dict[str, dict[str, float]]) -> float:
        """Of one victim at one epoch."""
        figure = epoch[self.task][self.metric.name]
        return figure if self.chance is None else self.metric.advantage(figure, self.chance)

    def error(self, epoch: dict[str, dict[str, float]]) -> float | None:
        """Standard error of the value, from those of one victim at one epoch; None: unknown."""
        error = epoch.get(self.task, {}).get(self.metric.name)
        if error is None or self.chance is None or self.metric.larger_is_better:
            return error
        return error / self.chance if self.chance > 0 else 0.0

    @property
    def judged_by(self) -> Metric:
        """What its value is a figure of."""
        return self.metric if self.chance is None else ADVANTAGE


def curves(victims: Sequence[VictimResult], data: str, measures: Sequence[Measure]) -> list[list[float]]:
    """The mean over measures at each epoch, of each victim on one version of the data that has all these tasks."""
    return [[point.value for point in curve] for curve in _points(victims, data, measures)]


def _points(victims: Sequence[VictimResult], data: str, measures: Sequence[Measure]) -> list[list[Point]]:
    return [
        [_mean(measures, figures, errors) for figures, errors in zip(attacker.figures, attacker.errors, strict=True)]
        for attacker in _attackers(victim for victim in victims if victim.data == data)
        if all(measure.task in epoch for epoch in attacker.figures for measure in measures)
    ]


def _mean(
    measures: Sequence[Measure], figures: dict[str, dict[str, float]], errors: dict[str, dict[str, float]]
) -> Point:
    known = [error for error in (measure.error(errors) for measure in measures) if error is not None]
    error = sum(known) / len(known) if len(known) == len(measures) else None
    return Point(sum(measure.value(figures) for measure in measures) / len(measures), error)


def strongest(victims: Sequence[VictimResult], data: str, measures: Sequence[Measure]) -> Score:
    """The best mean over measures, all of one direction, that any victim on a version has: last and best epoch."""
    found, metric = _points(victims, data, measures), measures[0].judged_by
    if not found:
        return Score(last=0.0, best=0.0)
    last = _strongest([curve[-1] for curve in found], metric)
    best = _strongest([point for curve in found for point in curve], metric)
    return Score(last=last.value, best=best.value, last_error=last.error, best_error=best.error)


def _strongest(points: Sequence[Point], metric: Metric) -> Point:
    best = metric.best(point.value for point in points)
    return next((point for point in points if point.value == best), points[0])


def _attackers(victims: Iterable[VictimResult]) -> list[Attacker]:
    whole: list[Attacker] = []
    single: dict[str, list[VictimResult]] = {}
    for victim in victims:
        if victim.only is None:
            whole.append(Attacker(victim.figures, victim.errors or [{}] * len(victim.figures)))
        else:
            single.setdefault(victim.setting, []).append(victim)
    return whole + [
        Attacker(
            _side_by_side([victim.figures for victim in group]),
            _side_by_side([victim.errors or [{}] * len(victim.figures) for victim in group]),
        )
        for group in single.values()
    ]


def _side_by_side(group: Sequence[Figures]) -> Figures:
    return [{task: metrics for part in epoch for task, metrics in part.items()} for epoch in zip(*group, strict=True)]
