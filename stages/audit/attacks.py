"""What each countermeasure wins back, the strongest first; clean data under the same countermeasure beside it."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.evidence import VERSIONS, AttackEvidence, VictimResult
from stages.audit.curves import Measure, strongest
from stages.countermeasures.registry import COUNTERMEASURES


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
