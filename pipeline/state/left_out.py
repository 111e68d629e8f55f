"""Shards that a run left out: the record of a failure, and the class of an error about several."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import AccessError, MtlueError, NoWriteAccessError
from schemas.records import ShardFailure


def failure_of(name: str, stage: str, error: MtlueError) -> ShardFailure:
    """The record of a shard that could not be processed; its message names the shard."""
    return ShardFailure(name=name, stage=stage, error=type(error).__name__, message=error.at(shard=name).message)


def kind_of(failures: Sequence[ShardFailure], otherwise: type[MtlueError]) -> type[MtlueError]:
    """AccessError where every shard failed for want of credentials or rights: its exit code says so."""
    access = {AccessError.__name__, NoWriteAccessError.__name__}
    return AccessError if {failure.error for failure in failures} <= access else otherwise
