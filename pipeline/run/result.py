"""What a run did: the one record that the terminal, `--json` and the exit code are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.errors import MtlueError
from schemas.evidence import Evidence
from schemas.records import Manifest, Quarantined, ShardFailure, ShardProfile, ShardRecord


@dataclass(frozen=True)
class RunResult:
    """What a run did, for the last lines on the terminal and for `--json`."""

    manifest: Manifest
    records: list[ShardRecord]
    failures: list[ShardFailure]
    quarantined: list[Quarantined]
    evidence: Evidence
    report: str
    """URL of the HTML report."""
    done_before: int
    """Shards that an earlier run had published; none of their images was read."""
    kept: list[str] = field(default_factory=list)
    """Published shards whose input failed: what lies there is an earlier state of them."""
    empty: list[str] = field(default_factory=list)
    """Input shards without a sample that can be published."""
    withdrawn: list[str] = field(default_factory=list)
    """Published shards that have no input any more, and are public still."""
    pruned: list[str] = field(default_factory=list)
    """Those that this run removed."""
    passed_by: list[str] = field(default_factory=list)
    """What lies among the data and was not read, a sentence for each kind."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each step."""


def empty_shards(profiles: Sequence[ShardProfile]) -> list[str]:
    """Input shards without a sample that can be published: planned, and neither published nor failed."""
    return [profile.name for profile in profiles if not profile.samples]


def exit_code(result: RunResult) -> int:
    """0 when every planned shard is published and nothing else is, else 1."""
    return MtlueError.exit_code if result.failures or result.withdrawn else 0
