"""Shards that a run left out: the record of a failure, and its words."""

from __future__ import annotations

from schemas.records import ShardFailure


def failure_of(name: str, stage: str, error: Exception) -> ShardFailure:
    """The record of a shard that could not be processed."""
    return ShardFailure(name=name, stage=stage, error=type(error).__name__, message=str(error))


def failure_text(failure: ShardFailure) -> str:
    """What became of a shard, with its name; many messages begin with it already."""
    return failure.message if failure.name in failure.message else f"shard {failure.name}: {failure.message}"
