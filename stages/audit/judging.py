"""Which victims judge a protection, what each kind reaches over its seeds, and what each countermeasure wins back."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from schemas.evidence import VERSIONS, AttackEvidence, Cell, Judge, Score, TaskEvidence, VictimResult
from stages.audit.curves import Measure, curves, strongest
from stages.countermeasures.registry import COUNTERMEASURES
from stages.formatting import names, percent


def attacks_of(victims: Sequence[VictimResult], measures: Sequence[Measure]) -> list[AttackEvidence]:
    """A row for each countermeasure that a victim used, those last that need originals; none for plain victims alone.

    Args:
        victims: on every version of the data.
        measures: what the verdict is the mean of.
    """
    names = list(dict.fromkeys(victim.countermeasure for victim in victims))
    if names == ["none"]:
        return []
    rows = [_row(name, [victim for victim in victims if victim.countermeasure == name], measures) for name in names]
    sign = -1 if measures[0].judged_by.larger_is_better else 1
    return sorted(
        rows, key=lambda row: (not row.counts, sign * row.means["protected"].best if "protected" in row.means else 0.0)
    )


def counts(victim: VictimResult) -> bool:
    """Whether it is judged: not where the attacker has originals of the dataset."""
    return not COUNTERMEASURES[victim.countermeasure].needs_originals


def _row(name: str, victims: Sequence[VictimResult], measures: Sequence[Measure]) -> AttackEvidence:
    versions = [data for data in VERSIONS if any(victim.data == data for victim in victims)]
    return AttackEvidence(
        name=name,
        counts=not COUNTERMEASURES[name].needs_originals,
        means={data: strongest(victims, data, measures) for data in versions},
        tasks={at.task: strongest(victims, "protected", [Measure(at.task, at.metric)]) for at in measures},
    )


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


ENOUGH = 0.5
"""Share of what the best clean victim learns that a victim must learn from clean images to be a judge."""


def judges_of(victims: Sequence[VictimResult], tasks: Sequence[TaskEvidence]) -> list[Judge]:
    """Tell of each kind of victim on protected images which tasks it judges.

    **The rule.** A kind is an architecture with a countermeasure, of all learning rates and seeds together. It judges a
    task when its best victim learns from clean images at least half (`ENOUGH`) of what the best clean victim of all
    learns. Learning is the distance beyond chance, in the metric that decides the task, at the best epoch
    (`Metric.advantage`). A kind that learns less would fail on any images: that it fails on protected ones proves
    nothing, so it judges nothing. What it does learn from protected images is learned, and counts against the
    protection: leaving that out would hide a leak. A kind without a victim on clean images judges nothing.

    Args:
        victims: on every version of the data; those that need originals are left out.
        tasks: that were to be protected, with their chance lines.
    """
    victims = [victim for victim in victims if counts(victim)]
    kinds: dict[tuple[str, bool, str], list[VictimResult]] = {}
    for victim in victims:
        kinds.setdefault((victim.backbone, victim.only is not None, victim.countermeasure), []).append(victim)
    judges = []
    for (backbone, single, countermeasure), group in kinds.items():
        if not any(victim.data == "protected" for victim in group):
            continue
        shares = {
            task.name: share_learned(group, victims, [Measure(task.name, task.judged_by, task.chance[task.metric])])
            for task in tasks
        }
        learned = {name: share for name, share in shares.items() if share is not None}
        judges.append(
            Judge(
                backbone=backbone,
                single=single,
                countermeasure=countermeasure,
                learned=learned,
                judges=[name for name, share in learned.items() if is_enough(share)],
                note=_note(learned),
            )
        )
    return judges


def share_learned(
    group: Sequence[VictimResult], victims: Sequence[VictimResult], measures: Sequence[Measure]
) -> float | None:
    """What some victims learn from clean images, as a share of what the best of all learns; None: none was trained.

    Args:
        group: some of them.
        victims: all of them.
        measures: the tasks, each with its chance line; of several the mean counts.
    """
    if not curves(group, "clean", measures):
        return None
    best = strongest(victims, "clean", measures).best
    return strongest(group, "clean", measures).best / best if best > 0 else 0.0


def is_enough(share: float | None) -> bool:
    """Whether victims that learn this share from clean images judge (`judges_of`)."""
    return share is not None and share >= ENOUGH - 1e-9


def _note(learned: dict[str, float]) -> str:
    """What a kind of victim does not judge, and why, in words; empty where it judges every task."""
    if not learned:
        return "judges nothing: it was not trained on clean images"
    strong = [task for task, share in learned.items() if is_enough(share)]
    weak = {task: share for task, share in learned.items() if task not in strong}
    if not weak:
        return ""
    most = f"{'at most ' if len(weak) > 1 else ''}{percent(max(0.0, *weak.values()))}"
    why = f"it learns {most} of what the best clean victim learns from clean images"
    return f"judges {names(strong)} and not {names(list(weak))}: of that {why}" if strong else f"judges nothing: {why}"
