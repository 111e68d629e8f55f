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


class Place(NamedTuple):
    """One figure of one task, or how far it lies beyond chance."""

    task: str
    metric: Metric
    chance: float | None = None
    """None: the figure itself; else its advantage over this, which has one direction and one scale in every task."""

    def value(self, epoch: dict[str, dict[str, float]]) -> float:
        """Of one victim at one epoch."""
        figure = epoch[self.task][self.metric.name]
        return figure if self.chance is None else self.metric.advantage(figure, self.chance)

    @property
    def judged_by(self) -> Metric:
        """What its value is a figure of."""
        return self.metric if self.chance is None else ADVANTAGE


def curves(victims: Sequence[VictimResult], data: str, places: Sequence[Place]) -> list[list[float]]:
    """The mean over places at each epoch, of each victim on one version of the data that has all these tasks."""
    return [
        [sum(place.value(epoch) for place in places) / len(places) for epoch in figures]
        for figures in _attackers(victim for victim in victims if victim.data == data)
        if all(place.task in epoch for epoch in figures for place in places)
    ]


def strongest(victims: Sequence[VictimResult], data: str, places: Sequence[Place]) -> Score:
    """The best mean over places, all of one direction, that any victim on a version has: last and best epoch."""
    found, metric = curves(victims, data, places), places[0].judged_by
    if not found:
        return Score(last=0.0, best=0.0)
    return Score(
        last=metric.best(curve[-1] for curve in found), best=metric.best(value for curve in found for value in curve)
    )


def _attackers(victims: Iterable[VictimResult]) -> list[Figures]:
    whole: list[Figures] = []
    single: dict[str, list[Figures]] = {}
    for victim in victims:
        if victim.only is None:
            whole.append(victim.figures)
        else:
            single.setdefault(victim.setting, []).append(victim.figures)
    return whole + [_side_by_side(group) for group in single.values()]


def _side_by_side(group: Sequence[Figures]) -> Figures:
    return [{task: metrics for part in epoch for task, metrics in part.items()} for epoch in zip(*group, strict=True)]
