"""Figures as text for people: percentages, numbers, durations, sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from schemas.dataset import Layout
from schemas.metrics import Metric
from schemas.records import ShardProfile


def percent(share: float, digits: int = 0) -> str:
    """A share of 0..1 as text: `14 %`, with a no-break space."""
    return f"{round(100 * share, digits) + 0.0:.{digits}f}\u00a0%"  # + 0.0: no minus before a zero


def figure(metric: Metric, value: float, digits: int = 0) -> str:
    """A figure of a metric as text: `14 %`, `3.2 years`; `digits` behind the point of a percentage."""
    if metric.is_share:
        return percent(value, digits)
    text = number(value, 0) if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text}\u00a0{metric.unit}".rstrip()


def within(metric: Metric, value: float, error: float | None, digits: int = 0) -> str:
    """The ends of a figure's 95 % interval as text, without their unit: `12–15`; empty where it is unknown."""
    ends = metric.interval(value, error)
    return (
        "" if ends is None else "–".join(figure(metric, end, digits).removesuffix(metric.unit).strip() for end in ends)
    )


def number(value: float, digits: int = 1) -> str:
    """A number with grouped thousands; `∞` where it is infinite, `–` where there is none (NaN)."""
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as people say them: `4.2 s`, `48 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f}\u00a0s"
    if whole < 3600:
        return f"{whole // 60}\u00a0min {whole % 60}\u00a0s"
    return f"{whole // 3600}\u00a0h {whole % 3600 // 60}\u00a0min"


def size_text(count: float) -> str:
    """Bytes in the largest unit that leaves a number over 1."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def strays_text(profiles: Sequence[ShardProfile]) -> list[str]:
    """What shards hold besides samples, as one sentence; none where they hold nothing else."""
    found = [profile for profile in profiles if profile.strays]
    if not found:
        return []
    count = sum(profile.strays for profile in found)
    first = f"the first: {found[0].first_stray!r} in {found[0].name}"
    return [f"members without a key belong to no sample and are not published: {count} ({first})"]


def unused_members(layout: Layout, profiles: Sequence[ShardProfile]) -> list[str]:
    """What `dataset.members` declares and no sample has; nothing where a shard's members are not known."""
    if not all(profile.members for profile in profiles if profile.samples):
        return []
    seen = {member for profile in profiles for member in profile.members}
    return [
        name for name in layout.members if not any(name == member or name.startswith(f"{member}.") for member in seen)
    ]


def unused_members_text(layout: Layout, profiles: Sequence[ShardProfile]) -> list[str]:
    """The same as one sentence; none where all are used."""
    found = unused_members(layout, profiles)
    if not found:
        return []
    return [f"dataset.members names what no sample has: {names(found)}; check the spelling"]


def names(found: Sequence[str], most: int = 5) -> str:
    """Names in a sentence, the first ones of many: `a, b and 7 more`."""
    shown = ", ".join(found[:most])
    return f"{shown} and {len(found) - most} more" if len(found) > most else shown
