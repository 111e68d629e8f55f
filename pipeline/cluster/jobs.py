"""A job for a worker, and what became of it: a result, or an error that says whether another try may help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import LocalRayletDiedError, OutOfMemoryError, RayError, RayTaskError

from pipeline.cluster.worker import UnexpectedError
from schemas.errors import ClusterError, MtlueError, TransientError

T = TypeVar("T")

ATTEMPTS = 3
"""Times that a shard is tried when a store or a worker fails in a way that may pass."""


@dataclass(frozen=True)
class Job(Generic[T]):
    """One call: its name for messages, and what a worker does."""

    name: str
    work: Callable[[], T]
    """A `functools.partial` of a function of a module: type checkers see its arguments."""


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a job: a result or an error."""

    name: str
    result: T | None = None
    error: MtlueError | None = None


def outcome_of(job: Job[T], reference: Any) -> Outcome[T]:
    """What a job that has ended gave, or why it died."""
    try:
        value = ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        return Outcome(job.name, error=cause if isinstance(cause, MtlueError) else UnexpectedError(str(cause)))
    except LocalRayletDiedError:
        return Outcome(job.name, error=ray_is_gone())
    except RayError as error:
        return Outcome(job.name, error=TransientError(f"the worker died {ATTEMPTS} times: {death_of(error)}"))
    return Outcome(job.name, error=value) if isinstance(value, MtlueError) else Outcome(job.name, result=value)


def death_of(error: RayError) -> str:
    """Why a worker died, as far as Ray knows, and what to do."""
    found = " ".join(str(error).split())[:300]
    if isinstance(error, OutOfMemoryError):
        return f"it needs more memory than there is; lower compute.cpus, or use a larger machine ({found})"
    return f"it was killed, or took longer than compute.job_minutes, or its machine was lost ({found})"


def ray_is_gone() -> ClusterError:
    """The error that ends a run whose own Ray was lost: no job can be blamed, and none can go on."""
    return ClusterError(
        "Ray ended on this machine: its raylet or an agent of it was killed, or the machine was too busy to answer; "
        "what is done is kept, run it again to go on"
    )


def no_answer(job: Job[T], seconds: float) -> Outcome[T]:
    """What becomes of a job whose worker neither answers nor ends."""
    problem = f"no answer in {seconds:.0f} s; look for machines that hang, or raise compute.job_minutes"
    return Outcome(job.name, error=TransientError(problem))
