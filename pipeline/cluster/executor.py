"""The executor: one function over many shards on Ray, a bounded number at a time, each with its result or its error."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import ray
from ray._private import ray_constants
from ray.exceptions import GetTimeoutError, LocalRayletDiedError, RayError

from pipeline.cluster.jobs import ATTEMPTS, Job, Outcome, death_of, no_answer, outcome_of, ray_is_gone
from pipeline.cluster.local import TOKEN, LocalRay
from pipeline.cluster.remote import RemoteObject, submit
from pipeline.cluster.scratch import Scratch
from pipeline.cluster.worker import Stream, call
from schemas.config import Compute
from schemas.errors import ConfigError, TransientError

T = TypeVar("T")

logger = logging.getLogger(__name__)

START_SECONDS = 600.0
"""Time for a worker or a node to start, or to be noticed as lost, on top of a job's own limit."""

STOP_SECONDS = 10.0
"""Time that running jobs get to end when a run ends early."""


def _resources() -> dict[str, float]:
    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]


class Executor:
    """Runs jobs on Ray; Ray starts at the first job and, when this executor started it, stops at the end.

    `local` starts a cluster of this process's own and never joins another.
    """

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.started = False
        self.directory = ""
        self.scratch: Scratch | None = None
        self.ray: LocalRay | None = None
        self.outside: str | None = None
        """Where this process puts its temporary files at other times."""

    def __enter__(self) -> Self:
        self.scratch, self.outside = Scratch(), tempfile.tempdir
        self.directory = tempfile.tempdir = self.scratch.path
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.started:
            ray.shutdown()
        if self.ray is not None:
            self.ray.close()
        tempfile.tempdir = self.outside
        if self.scratch is not None:
            self.scratch.close()

    @property
    def workers(self) -> int:
        """Jobs that run at a time."""
        if self.compute.cpus != "auto":
            return self.compute.cpus
        return max(1, int(_resources().get("CPU", 1)))

    @property
    def dashboard(self) -> str:
        """Where Ray's dashboard is, and the token that it asks for: Ray lets nobody in who does not have it."""
        if self.ray is None:
            return f"that of the cluster {self.compute.address}"
        if not self.ray.dashboard:
            return "not running; Ray's logs say why"
        return f"http://{self.ray.dashboard}" + (f" (token: {os.environ[TOKEN]})" if self.ray.own_token else "")

    def map(self, jobs: Iterable[Job[T]], *, gpu: bool = False, length: int = 1) -> Iterator[Outcome[T]]:
        """Run each job's work; outcomes come as they are ready, each job exactly once.

        Jobs are taken one by one as workers become free, so that a long list of them need never be in memory.

        A job whose failure may pass is tried `ATTEMPTS` times: a store failed, a worker was killed or took longer than
        `compute.job_minutes`, a node was lost. The last time it runs alone, so that no job pays for the memory of
        another. Then its outcome is the error, and the others go on.

        When the caller stops early no job is begun any more; those that run end with a Ray that this executor started.
        Another's Ray gets a while to end them: `ray.cancel` may abort this process (Ray 2.60, "Tried to complete task
        that was not pending").

        Args:
            jobs: names differ; their work is anything that cloudpickle takes.
            gpu: whether a job gets its share of a GPU.
            length: how many times `compute.job_minutes` a job may take (epochs of a training).

        Raises:
            LeaseError, UnwritableError, ClusterError: no job can go on (`MtlueError.ends_run`).
        """
        waiting = iter(jobs)
        job = next(waiting, None)
        if job is None:
            return
        self.start()
        seconds = self.compute.job_minutes * 60 * length
        options = {"num_cpus": 1, "num_gpus": self._gpu_share() if gpu else 0}
        running: dict[Any, Job[T]] = {}
        again: list[Job[T]] = []
        attempts: Counter[str] = Counter()

        def begin(job: Job[T]) -> None:
            attempts[job.name] += 1
            running[submit(options, call, job.work, self.directory, seconds)] = job

        try:
            while job is not None or running or again:
                while job is not None and len(running) < self._window:
                    begin(job)
                    job = next(waiting, None)
                for tried in list(again):
                    alone = attempts[tried.name] == ATTEMPTS - 1
                    if len(running) < (1 if alone else self._window):
                        again.remove(tried)
                        begin(tried)
                    if alone:
                        break
                ready, _ = ray.wait(list(running), num_returns=1, timeout=seconds + START_SECONDS)
                for reference in ready or list(running):
                    done = running.pop(reference)
                    outcome = outcome_of(done, reference) if ready else no_answer(done, seconds + START_SECONDS)
                    if outcome.error is not None and outcome.error.ends_run:
                        raise outcome.error
                    if isinstance(outcome.error, TransientError) and attempts[done.name] < ATTEMPTS:
                        logger.warning("%s is tried again: %s", done.name, outcome.error.problem)
                        again.append(done)
                    else:
                        del attempts[done.name]
                        yield outcome
        finally:
            if running and not self.started:
                ray.wait(list(running), num_returns=len(running), timeout=STOP_SECONDS)

    def stream(self, work: Callable[..., T], report: Callable[..., None]) -> T:
        """Run one long `work(report=…)` on a node of its own, with every core of it (and a GPU when there is one).

        A worker that dies, or reports nothing for `compute.job_minutes`, is replaced by another, `ATTEMPTS` times: the
        work goes on from what it has stored itself.

        On this machine the number of threads is the machine's, whatever `compute.cpus` says. Sums of floats depend on
        it, and the result must not depend on the number of workers.
        """
        self.start()
        cpus, gpus = self._largest_node()
        threads = (os.cpu_count() or 1) if self.compute.address == "local" else cpus
        seconds = self.compute.job_minutes * 60
        for _ in range(ATTEMPTS):
            stream = RemoteObject({"num_cpus": cpus, "num_gpus": gpus}, Stream, self.directory, threads)
            try:
                ray.get(stream.do("begin", work), timeout=seconds + START_SECONDS)
                while True:
                    kind, value = ray.get(stream.do("next"), timeout=seconds)
                    if kind == "result":
                        return value  # type: ignore[no-any-return]
                    if kind == "error":
                        raise value
                    report(*value)
            except GetTimeoutError:
                failure = (
                    f"no answer in {self.compute.job_minutes:g} minutes (compute.job_minutes); is there still a node "
                    f"with {cpus} CPUs and {gpus} GPUs?"
                )
            except LocalRayletDiedError:
                raise ray_is_gone() from None
            except RayError as error:
                failure = death_of(error)
            finally:
                stream.kill()
            logger.warning("the training's worker is replaced by another: %s", failure)
        raise TransientError(f"the worker died {ATTEMPTS} times: {failure}")

    def start(self) -> None:
        """Start Ray, or join the one that the configuration names; the first job does it too.

        Raises:
            ConfigError: there is none at that address, or no place for its files.
            TransientError: the machine is too busy for it.
        """
        if ray.is_initialized():
            return
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False  # where Ray was imported before this package
        if self.compute.address == "local":
            self.ray = LocalRay(self.compute)
            with _signals_kept():
                self.ray.start()
        else:
            try:
                with _signals_kept():
                    ray.init(address=self.compute.address, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ConfigError(
                    f"compute.address {self.compute.address!r}: Ray cannot join ({error}); "
                    "use `local`, or start the cluster first"
                ) from None
        self.started = True

    @property
    def _window(self) -> int:
        """Jobs handed to Ray at a time: twice as many as run, so that no worker waits for its next one.

        A cluster that was there before has its own number of cores; there the window alone holds `compute.cpus`.
        """
        own = self.started and self.compute.address == "local"
        return 2 * self.workers if own or self.compute.cpus == "auto" else self.workers

    def _largest_node(self) -> tuple[int, int]:
        """CPUs and GPUs (0 or 1) that a training asks for: all of the largest node, one with a GPU if there is any."""
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        found = [node["Resources"] for node in nodes if node["Alive"]]
        gpus = [each for each in found if each.get("GPU", 0) >= 1]
        return max(1, *(int(each.get("CPU", 0)) for each in [{}, *(gpus or found)])), int(bool(gpus))

    def _gpu_share(self) -> float:
        gpus = float(_resources().get("GPU", 0))
        return min(1.0, gpus / self.workers) if gpus else 0.0


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts a handler of its own on SIGTERM, which ends the process with exit code 1."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
