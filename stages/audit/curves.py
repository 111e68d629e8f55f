"""Curves of an audit: what victims reach, epoch by epoch, in the mean over some tasks.

A multi-task victim has a curve of its own. The single-task victims of one setting (`VictimResult.setting`) are what one
attacker would train side by side: together they count as one victim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.evidence import Score, VictimResult

Figures = Sequence[dict[str, dict[str, float]]]
"""Per epoch: task → metric → figure in 0..1."""


def curves(victims: Sequence[VictimResult], data: str, places: Sequence[tuple[str, str]]) -> list[list[float]]:
    """The mean over (task, metric) at each epoch, in 0..1, of each victim on one version that has all these tasks."""
    return [
        [sum(epoch[task][metric] for task, metric in places) / len(places) for epoch in figures]
        for figures in _attackers(victim for victim in victims if victim.data == data)
        if all(task in epoch for epoch in figures for task, _ in places)
    ]


def strongest(victims: Sequence[VictimResult], data: str, places: Sequence[tuple[str, str]]) -> Score:
    """The highest mean over (task, metric) that any victim on one version of the data has, last and best epoch."""
    found = curves(victims, data, places)
    return Score(
        last=max((curve[-1] for curve in found), default=0.0),
        best=max((value for curve in found for value in curve), default=0.0),
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
