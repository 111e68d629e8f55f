"""The contract of a section: what the report is made of, and what a section makes of it.

A new section is a function in a file of `sections/`, a template in `templates/`, and a line in
`stages/report/report.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from schemas.evidence import Evidence
from schemas.plans import ReportPlan
from schemas.records import GeneratorRecord, Quarantined, ShardFailure, ShardProfile, ShardRecord, once_each
from schemas.stats import Moments
from stages.report.pictures import Pair


@dataclass(frozen=True)
class ReportInput:
    """What a run has found."""

    plan: ReportPlan
    """Of its addresses only the part without credentials is shown."""
    profiles: Sequence[ShardProfile]
    """Of every input shard."""
    generator: GeneratorRecord | None
    """None: an audit from a place that has no generator."""
    records: Sequence[ShardRecord]
    """Of every published shard; none when the evidence did not suffice."""
    failures: Sequence[ShardFailure]
    """Shards that could not be processed."""
    evidence: Evidence
    seconds: dict[str, float]
    """Step → wall time in s; the only part that differs between equal runs."""
    pictures: Sequence[Pair] = ()
    manifest: bytes = b""
    """The published `manifest.json`; empty where nothing is published."""

    @property
    def quarantined(self) -> list[Quarantined]:
        """Every sample that was left out, once: protecting meets again what ingest has met."""
        found = (*(profile.quarantined for profile in self.profiles), *(record.quarantined for record in self.records))
        return once_each(sample for samples in found for sample in samples)


Facts = Callable[[ReportInput], dict[str, Any]]
"""What a section's template is given; plain values, text unescaped, plots as Markup."""


def merged(moments: Sequence[Moments]) -> Moments:
    """The moments of all streams together."""
    return reduce(Moments.merge, moments, Moments())
