"""Which victims judge a protection: those that can learn the task at all."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.evidence import Judge, TaskEvidence, VictimResult
from stages.audit.attacks import counts
from stages.audit.curves import Measure, curves, strongest
from stages.formatting import names, percent

ENOUGH = 0.5
"""Share of what the best clean victim learns that a victim must learn from clean images to be a judge."""


def judges_of(victims: Sequence[VictimResult], tasks: Sequence[TaskEvidence]) -> list[Judge]:
    """Tell of each kind of victim on protected images which tasks it judges.

    **The rule.** A kind is an architecture with a countermeasure, of all learning rates and seeds together. It judges a
    task when the best of its victims learns from clean images at least half (`ENOUGH`) of what the best clean victim of
    all learns. Learning is the distance beyond chance, in the metric that decides the task, at the best epoch
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
