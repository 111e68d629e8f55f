"""Shards that a run left out: the record of a failure."""

from __future__ import annotations

from schemas.errors import MtlueError
from schemas.records import ShardFailure


def failure_of(name: str, stage: str, error: MtlueError) -> ShardFailure:
    """The record of a shard that could not be processed; its message names the shard."""
    return ShardFailure(name=name, stage=stage, error=type(error).__name__, message=error.at(shard=name).message)
