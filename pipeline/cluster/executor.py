"""The executor: one function over many shards on Ray, a bounded number at a time, each with its result or its error."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from schemas.config import Compute
from schemas.errors import ConfigError, MtlueError, TransientError

T = TypeVar("T")

ATTEMPTS = 3
"""Times that a shard is tried when a store or a worker fails in a way that may pass."""

STOP_SECONDS = 10.0
"""Time that running jobs get to end when a run ends early."""

OBJECT_STORE_BYTES = 150 * 2**20
"""Only small records travel through Ray; images never do."""


@dataclass(frozen=True)
class Job:
    """One call: its name for messages and the arguments of the function."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a job: a result or an error."""

    name: str
    result: T | None = None
    error: MtlueError | None = None


class UnexpectedError(MtlueError):
    """A fault of mtlue itself at a shard's border; the text ends with where it happened."""


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], directory: str) -> Any:
    torch.set_num_threads(1)
    _use_directory(directory)
    try:
        return function(*arguments)
    except TransientError:
        raise
    except MtlueError as error:
        return error
    except Exception as error:
        return _unexpected(error)


def _stream(function: Callable[..., Any], arguments: tuple[Any, ...], directory: str) -> Iterator[Any]:
    """Run `function(*arguments, report=…)` in a thread; yield its reports, then ("result", …) or ("error", …)."""
    torch.set_num_threads(os.cpu_count() or 1)
    _use_directory(directory)
    messages: queue.Queue[tuple[str, Any]] = queue.Queue()

    def work() -> None:
        try:
            messages.put(("result", function(*arguments, report=lambda *what: messages.put(("report", what)))))
        except MtlueError as error:
            messages.put(("error", error))
        except Exception as error:
            messages.put(("error", _unexpected(error)))

    threading.Thread(target=work, daemon=True).start()
    while True:
        kind, value = messages.get()
        yield kind, value
        if kind != "report":
            return


def _use_directory(directory: str) -> None:
    """Put this worker's temporary files where the run removes them, even when the worker is killed.

    On another machine that directory does not exist; there they go where the system puts them.
    """
    tempfile.tempdir = directory if os.path.isdir(directory) else None


# Untyped on purpose: ray's stubs know neither a list of exceptions nor a stream of results.
_remote_call: Any = ray.remote(max_retries=ATTEMPTS - 1, retry_exceptions=[TransientError], max_calls=0)(_call)  # type: ignore[call-overload]
_remote_stream: Any = ray.remote(max_retries=0, num_returns="streaming", max_calls=0)(_stream)


def _resources() -> dict[str, float]:
    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]


def _unexpected(error: Exception) -> UnexpectedError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return UnexpectedError(f"{type(error).__name__}: {error} (in {where.name}, {where.filename}:{where.lineno})")


class Executor:
    """Runs jobs on Ray; Ray starts at the first job and, when this executor started it, stops at the end.

    `local` starts a cluster of this process's own and never joins another.
    """

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.started = False
        self.directory = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.started:
            ray.shutdown()
        _remove(self.directory)

    @property
    def workers(self) -> int:
        """Jobs that run at a time."""
        if self.compute.cpus != "auto":
            return self.compute.cpus
        return max(1, int(_resources().get("CPU", 1)))

    def map(self, function: Callable[..., T], jobs: Iterable[Job], *, gpu: bool = False) -> Iterator[Outcome[T]]:
        """Run `function(*job.arguments)` for each job; outcomes come as they are ready, each job exactly once.

        Jobs are taken one by one as workers become free, so that a long list of them need never be in memory.

        When the caller stops early no job is begun any more; those that run end with a Ray that this executor started.
        Another's Ray gets a while to end them: `ray.cancel` may abort this process (Ray 2.60, "Tried to complete task
        that was not pending").

        Raises:
            LeaseError, UnwritableError: no job can write any more (`MtlueError.ends_run`).
        """
        waiting = iter(jobs)
        job = next(waiting, None)
        if job is None:
            return
        self._start()
        options = {"num_cpus": 1, "num_gpus": self._gpu_share() if gpu else 0}
        running: dict[Any, Job] = {}
        try:
            while job is not None or running:
                while job is not None and len(running) < self._window:
                    running[_remote_call.options(**options).remote(function, job.arguments, self.directory)] = job
                    job = next(waiting, None)
                ready, _ = ray.wait(list(running), num_returns=1)
                for reference in ready:
                    outcome = _outcome(running.pop(reference), reference)
                    if outcome.error is not None and outcome.error.ends_run:
                        raise outcome.error
                    yield outcome
        finally:
            if running and not self.started:
                ray.wait(list(running), num_returns=len(running), timeout=STOP_SECONDS)

    def stream(self, function: Callable[..., T], arguments: tuple[Any, ...], report: Callable[..., None]) -> T:
        """Run one long function with every core (and a GPU when there is one); pass its reports on.

        The number of threads is the machine's, whatever `compute.cpus` says: sums of floats depend on it, and the
        result must not depend on the number of workers.
        """
        self._start()
        gpus = 1 if _resources().get("GPU", 0) >= 1 else 0
        for _ in range(ATTEMPTS):
            try:
                for reference in _remote_stream.options(num_cpus=1, num_gpus=gpus).remote(
                    function, arguments, self.directory
                ):
                    kind, value = ray.get(reference)
                    if kind == "result":
                        return value  # type: ignore[no-any-return]
                    if kind == "error":
                        raise value
                    report(*value)
            except RayError as error:  # the worker died: from the start again, the result is the same
                failure = error
        raise TransientError(f"the worker died {ATTEMPTS} times: {failure}") from failure

    def _start(self) -> None:
        if not self.directory:
            self.directory = tempfile.mkdtemp(prefix="mtlue-run-")
        if ray.is_initialized():
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        if self.compute.address == "local":
            options |= {
                "address": "local",
                "num_cpus": os.cpu_count() if self.compute.cpus == "auto" else self.compute.cpus,
                "object_store_memory": OBJECT_STORE_BYTES,
            }
            if self.compute.gpus != "auto":
                options["num_gpus"] = self.compute.gpus
        else:
            options = {"address": self.compute.address, "log_to_driver": False}
        try:
            with _signals_kept():
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"compute.address {self.compute.address!r}: Ray cannot start or join ({error}); "
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


def _remove(directory: str) -> None:
    """Remove the workers' temporary files, as soon as the last worker writes no more."""
    deadline = time.monotonic() + STOP_SECONDS
    while os.path.isdir(directory) and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        if os.path.isdir(directory):
            time.sleep(0.1)


def _outcome(job: Job, reference: Any) -> Outcome[Any]:
    try:
        value = ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        return Outcome(job.name, error=cause if isinstance(cause, MtlueError) else UnexpectedError(str(cause)))
    except RayError as error:
        return Outcome(job.name, error=TransientError(f"the worker died {ATTEMPTS} times: {error}"))
    return Outcome(job.name, error=value) if isinstance(value, MtlueError) else Outcome(job.name, result=value)
