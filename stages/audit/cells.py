"""Every kind of victim by itself: what it reaches over its seeds, the mean and how far they lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from schemas.evidence import VERSIONS, Cell, Score, VictimResult
from stages.audit.curves import Measure, curves, strongest


def cells_of(victims: Sequence[VictimResult], measures: Sequence[Measure]) -> list[Cell]:
    """One cell a version of the data, architecture, learning rate and way of training; protected ones first.

    Args:
        victims: plain ones; single-task victims of one seed count as one.
        measures: what the figures are the means of.
    """
    groups: dict[tuple[str, str, float, bool], list[VictimResult]] = {}
    for victim in victims:
        key = (victim.data, victim.backbone, victim.learning_rate, victim.only is not None)
        groups.setdefault(key, []).append(victim)
    cells = [_cell(*key, group, measures) for key, group in groups.items() if curves(group, key[0], measures)]
    sign = -1 if measures[0].judged_by.larger_is_better else 1
    return sorted(cells, key=lambda cell: (-VERSIONS.index(cell.data), sign * cell.best))


def _cell(
    data: str, backbone: str, rate: float, single: bool, victims: Sequence[VictimResult], measures: Sequence[Measure]
) -> Cell:
    by_seed: dict[int, list[VictimResult]] = {}
    for victim in victims:
        by_seed.setdefault(victim.seed, []).append(victim)
    scores: list[Score] = [strongest(group, data, measures) for group in by_seed.values()]
    best, last = [score.best for score in scores], [score.last for score in scores]
    several = len(scores) > 1
    return Cell(
        data=data,
        backbone=backbone,
        learning_rate=rate,
        single=single,
        seeds=len(scores),
        best=statistics.fmean(best),
        best_deviation=statistics.stdev(best) if several else None,
        last=statistics.fmean(last),
        last_deviation=statistics.stdev(last) if several else None,
    )
