"""Workers, and the one loop over jobs: each in a worker, progress that goes on, a result or an error for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar, cast

from pipeline.cluster.executor import Executor
from pipeline.cluster.jobs import Job
from pipeline.cluster.progress import Reporter
from schemas.errors import MtlueError

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """Where the jobs of a step run, and where their progress goes."""

    executor: Executor
    reporter: Reporter

    def each(
        self,
        step: str,
        jobs: Iterable[Job[T]],
        done: Callable[[str, T], None],
        failed: Callable[[str, MtlueError], None],
        *,
        count: int,
        unit: str = "shards",
        gpu: bool = False,
        length: int = 1,
        position: Callable[[], int] | None = None,
    ) -> None:
        """Run every job; each ends with one call of `done` or of `failed`, in this process, as the jobs are ready.

        Args:
            step: its name, as progress shows it.
            jobs: taken one by one as workers become free.
            done: called with a job's name and result.
            failed: called with a job's name and error; what it raises ends the step.
            count: number of jobs, at most; or of what `position` counts.
            unit: what is counted.
            gpu: whether a job gets its share of a GPU.
            length: how many times `compute.job_minutes` a job may take.
            position: how far the step is; None: the number of jobs that have ended.
        """
        with self.reporter.step(step, count, unit) as progress:
            for outcome in self.executor.map(jobs, gpu=gpu, length=length):
                self.check()
                if outcome.error is not None:
                    failed(outcome.name, outcome.error)
                else:
                    done(outcome.name, cast(T, outcome.result))
                if position is None:
                    progress.advance()
                else:
                    progress.advance_to(position())

    def check(self) -> None:
        """Called before each outcome is used; raises where the run may not go on."""
