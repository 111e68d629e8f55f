"""Jobs in this process: for tests of what a run does, where it does not matter that Ray does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ray import cloudpickle

from pipeline.cluster.executor import Executor
from pipeline.cluster.jobs import ATTEMPTS, Job, Outcome
from pipeline.cluster.worker import call
from schemas.errors import MtlueError, TransientError

T = TypeVar("T")


class Here(Executor):
    """Runs one job after the other, packed and unpacked as for a worker. It keeps what `Executor` says of errors."""

    workers = 1

    def start(self) -> None:
        """Nothing has to start."""

    def map(self, jobs: Iterable[Job[T]], *, gpu: bool = False, length: int = 1) -> Iterator[Outcome[T]]:
        """The outcome of each job, in their order."""
        return (self._outcome(job, self.compute.job_minutes * 60 * length) for job in jobs)

    def stream(self, work: Callable[..., T], report: Callable[..., None]) -> T:
        """What `work(report=…)` gives."""
        result: T = _sent(work)(report=report)
        return result

    def _outcome(self, job: Job[T], seconds: float) -> Outcome[T]:
        error: MtlueError
        for _ in range(ATTEMPTS):
            found = _sent(call(_sent(job.work), self.directory, seconds))
            if not isinstance(found, MtlueError):
                return Outcome(job.name, result=found)
            error = found
            if error.ends_run:
                raise error
            if not isinstance(error, TransientError):
                break
        return Outcome(job.name, error=error)


def _sent(what: Any) -> Any:
    """What arrives in another process."""
    return cloudpickle.loads(cloudpickle.dumps(what))
