"""Drift: whether shards that came later look like those before them.

A generator that was trained before they came is used for them too, so the run reports it; nothing is decided by it.
    labels        d = ½·Σ_c |p_c - q_c|  (total variation) of the shares p, q of each class, above 0.1 + 2·√(C/n)
    missing       shares that differ by more than 0.1 + 2/√n
    brightness    means that differ by more than half a standard deviation of the earlier images + 3/√n of it
    size          mean width or height that differs by more than a quarter
with n the number of later samples: 2·√(C/n) is far above what n draws from C classes differ by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce

from schemas.records import ShardProfile
from schemas.stats import Moments
from schemas.tasks import Task

FEWEST = 50
"""Samples on each side below which nothing is said."""


def drift(tasks: Sequence[Task], before: Sequence[ShardProfile], later: Sequence[ShardProfile]) -> Iterator[str]:
    """What is different about later shards, a sentence each."""
    old, new = _samples(before), _samples(later)
    if old < FEWEST or new < FEWEST:
        return
    for task in tasks:
        p, q = _shares(task.name, before), _shares(task.name, later)
        distance = sum(abs(one - other) for one, other in zip(p, q, strict=True)) / 2 if len(p) == len(q) else 0.0
        if distance > 0.1 + 2 * math.sqrt(len(p) / new):
            yield f"the labels of task {task.name!r} are spread differently (total variation {distance:.2f})"
        one, other = _missing(task.name, before) / old, _missing(task.name, later) / new
        if abs(one - other) > 0.1 + 2 / math.sqrt(new):
            yield f"{other:.0%} of the labels of task {task.name!r} are missing, {one:.0%} before"
    light, lighter = (_merged([profile.brightness for profile in each]) for each in (before, later))
    if abs(light.mean - lighter.mean) > light.deviation * (0.5 + 3 / math.sqrt(new)) + 1:
        yield f"the mean brightness is {lighter.mean:.0f} of 255, {light.mean:.0f} before"
    for side in ("width", "height"):
        one, other = (_merged([getattr(profile, side) for profile in each]).mean for each in (before, later))
        if not 0.8 <= other / max(1.0, one) <= 1.25:
            yield f"the mean {side} is {other:.0f} pixels, {one:.0f} before"


def _samples(profiles: Sequence[ShardProfile]) -> int:
    return sum(profile.samples for profile in profiles)


def _missing(task: str, profiles: Sequence[ShardProfile]) -> int:
    return sum(profile.missing.get(task, 0) for profile in profiles)


def _shares(task: str, profiles: Sequence[ShardProfile]) -> list[float]:
    """The share of each class; empty where the task has no classes or no label."""
    counts = [sum(column) for column in zip(*(profile.histograms.get(task, []) for profile in profiles), strict=False)]
    total = sum(counts)
    return [count / total for count in counts] if total else []


def _merged(moments: Sequence[Moments]) -> Moments:
    return reduce(Moments.merge, moments, Moments())
