"""The executor on a real Ray: each job once, errors as they were raised, retries, early ends, temporary files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster import executor as executing
from pipeline.cluster import jobs as jobs_of_ray
from pipeline.cluster.executor import Executor
from pipeline.cluster.jobs import ATTEMPTS, Job, Outcome
from pipeline.cluster.worker import UnexpectedError
from schemas.config import Compute
from schemas.errors import (
    InputError,
    RefusedInputError,
    SampleError,
    StoreError,
    TransientError,
    UnwritableError,
)
from tests.running import PATIENCE_SECONDS, ROOT

HANGING = ("a", "hangs", "b", "c")

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every attempt needs a new worker, which starts for seconds."""
    monkeypatch.setattr(executing, "ATTEMPTS", 2)
    monkeypatch.setattr(jobs_of_ray, "ATTEMPTS", 2)


def outcomes(function: Callable[..., Any], *arguments: Any, cpus: int = 2) -> dict[str, Outcome[Any]]:
    """Run one job for each argument; its name is the argument's text."""
    with Executor(Compute(cpus=cpus)) as executor:
        found = list(executor.map([Job(str(argument), partial(function, argument)) for argument in arguments]))
    assert len(found) == len({outcome.name for outcome in found}) == len(arguments)
    return {outcome.name: outcome for outcome in found}


def note(path: Path, text: str) -> int:
    """Append a line to a file that workers share; how many lines there are now."""
    with path.open("a") as file:
        file.write(f"{text}\n")
    return len(path.read_text().splitlines())


def test_every_job_is_run_once_and_its_result_comes_back_under_its_name(tmp_path: Path) -> None:
    def square(number: int) -> int:
        note(tmp_path / "calls", str(number))
        return number * number

    found = outcomes(square, *range(23))
    assert {name: outcome.result for name, outcome in found.items()} == {str(n): n * n for n in range(23)}
    assert Counter((tmp_path / "calls").read_text().split()) == Counter(map(str, range(23)))


def test_without_jobs_nothing_comes_out() -> None:
    with Executor(Compute()) as executor:
        assert list(executor.map([])) == []


def test_jobs_are_taken_from_their_list_only_as_workers_become_free() -> None:
    taken = 0

    def jobs() -> Iterator[Job]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield Job(str(number), partial(abs, number))

    ahead = []
    with Executor(Compute(cpus=2)) as executor:
        for done, _ in enumerate(executor.map(jobs())):
            ahead.append(taken - done)
    assert taken == 40
    assert max(ahead) <= 2 * 2 + 1


def test_errors_keep_their_class_text_and_fields_and_the_other_jobs_go_on() -> None:
    def fail(kind: str) -> str:
        errors: dict[str, Exception] = {
            "input": InputError("shard a: damaged"),
            "refused": RefusedInputError("declare it"),
            "store": StoreError("no bucket"),
            "sample": SampleError("corrupt-image", "sample k: damaged"),
            "value": ValueError("what is this"),
        }
        if kind in errors:
            raise errors[kind]
        return kind

    found = outcomes(fail, "input", "refused", "store", "sample", "value", "fine")
    assert found["fine"].result == "fine"
    errors = {name: outcome.error for name, outcome in found.items()}
    assert type(errors["input"]) is InputError
    assert type(errors["refused"]) is RefusedInputError
    assert (errors["refused"].exit_code, errors["refused"].message) == (2, "declare it")
    assert type(errors["store"]) is StoreError
    assert isinstance(errors["sample"], SampleError)
    assert errors["sample"].reason == "corrupt-image"
    assert type(errors["value"]) is UnexpectedError
    assert "ValueError: what is this (in fail, " in errors["value"].message
    assert __file__ in errors["value"].message


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(tmp_path: Path) -> None:
    def fail(kind: str) -> str:
        times = note(tmp_path / kind, "x")
        if kind == "permanent":
            raise StoreError("access denied")
        if kind == "endless" or times < ATTEMPTS:
            raise TransientError("timed out")
        return "at last"

    found = outcomes(fail, "passing", "endless", "permanent")
    assert found["passing"].result == "at last"
    assert isinstance(found["endless"].error, TransientError)
    assert found["endless"].error.message == "timed out"
    assert isinstance(found["permanent"].error, StoreError)
    assert note(tmp_path / "endless", "") == ATTEMPTS + 1
    assert note(tmp_path / "permanent", "") == 2


def test_a_job_whose_worker_is_killed_is_tried_again_by_another(tmp_path: Path) -> None:
    def die(number: int) -> int:
        if note(tmp_path / str(number), "x") < number:
            os._exit(9)
        return os.getpid()

    found = outcomes(die, 1, 2)
    assert found["1"].error is None
    assert found["2"].result is not None
    assert note(tmp_path / "2", "") == 3


def test_a_job_that_kills_every_worker_becomes_an_error(two_attempts: None) -> None:
    found = outcomes(lambda number: os._exit(9), 1)
    assert isinstance(found["1"].error, TransientError)
    assert "the worker died 2 times" in found["1"].error.message


def test_a_job_that_hangs_becomes_an_error_that_names_the_limit_and_the_others_go_on(two_attempts: None) -> None:
    def hang(kind: str) -> str:
        if kind == "hangs":
            time.sleep(1000)
        return kind

    with Executor(Compute(cpus=2, job_minutes=0.02)) as executor:
        found = {
            outcome.name: outcome for outcome in executor.map([Job(name, partial(hang, name)) for name in HANGING])
        }
    assert {name for name, outcome in found.items() if outcome.error is None} == set(HANGING) - {"hangs"}
    assert isinstance(found["hangs"].error, TransientError)
    assert "the worker died 2 times" in found["hangs"].error.message
    assert "compute.job_minutes" in found["hangs"].error.message


def test_a_training_that_reports_nothing_is_begun_again_and_ends_with_an_error(
    two_attempts: None, tmp_path: Path
) -> None:
    def train(report: Callable[..., None]) -> None:
        report("generator", note(tmp_path / "begun", "x"), 9)
        time.sleep(1000)

    with (
        Executor(Compute(job_minutes=0.02)) as executor,
        pytest.raises(TransientError, match=r"no answer in 0.02 minutes \(compute.job_minutes\)"),
    ):
        executor.stream(train, lambda *what: None)
    assert note(tmp_path / "begun", "") <= 2 + 1


OUT_OF_MEMORY = """
from functools import partial

import ray
from pipeline.cluster.executor import Executor
from pipeline.cluster.jobs import Job
from schemas.config import Compute

ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=150 * 2**20, log_to_driver=False)

def hold(seconds):
    import time
    time.sleep(seconds)
    return seconds

with Executor(Compute(cpus=2)) as executor:
    for outcome in executor.map([Job("poison", partial(hold, 1000))]):
        print(outcome.name, type(outcome.error).__name__, outcome.error)
ray.shutdown()
"""


def test_a_job_that_ray_kills_for_its_memory_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_memory_monitor_refresh_ms": "100",
        "RAY_memory_usage_threshold": "0.001",  # whatever a worker holds is too much
    }
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.stdout.startswith(f"poison TransientError the worker died {ATTEMPTS} times: "), done
    assert "it needs more memory than there is; lower compute.cpus" in done.stdout


def test_no_more_jobs_run_at_a_time_than_the_configuration_says(tmp_path: Path) -> None:
    def overlap(number: int) -> int:
        mine = tmp_path / f"running-{number}"
        mine.touch()
        time.sleep(0.1)
        running = len(list(tmp_path.glob("running-*")))
        mine.unlink()
        return running

    assert {outcome.result for outcome in outcomes(overlap, *range(5), cpus=1).values()} == {1}


def test_when_the_caller_stops_no_further_job_begins_and_none_is_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "STOP_SECONDS", PATIENCE_SECONDS)  # on a busy machine a job needs long to begin

    def work(number: int) -> int:
        note(tmp_path / "begun", str(number))
        time.sleep(0.5 if number else 0)
        note(tmp_path / "ended", str(number))
        return number

    with Executor(Compute(cpus=2)) as executor:
        found = executor.map([Job(str(number), partial(work, number)) for number in range(50)])
        assert next(found).name == "0"
        del found
    begun, ended = (Counter((tmp_path / name).read_text().split()) for name in ("begun", "ended"))
    assert begun == ended
    assert 1 <= len(begun) <= 4
    time.sleep(1)
    assert Counter((tmp_path / "begun").read_text().split()) == begun


def test_temporary_files_of_workers_are_removed_even_when_they_are_killed(tmp_path: Path) -> None:
    def leave(number: int) -> str:
        directory = tempfile.mkdtemp(prefix="mtlue-left-")
        Path(directory, "image").write_bytes(b"raw")
        if number and note(tmp_path / "tries", "x") == 1:
            os._exit(9)
        return directory

    directories = [Path(str(outcome.result)) for outcome in outcomes(leave, 0, 1).values()]
    assert not any(directory.exists() for directory in directories)
    assert directories[0].parent == directories[1].parent
    assert not directories[0].parent.exists()


def test_a_stream_passes_reports_on_and_returns_the_result() -> None:
    def train(epochs: int, report: Callable[..., None]) -> str:
        for epoch in range(epochs):
            report("generator", epoch + 1, epochs)
        return f"trained in process {os.getpid()}"

    seen: list[tuple[Any, ...]] = []
    with Executor(Compute()) as executor:
        result = executor.stream(partial(train, 3), lambda *what: seen.append(what))
    assert seen == [("generator", 1, 3), ("generator", 2, 3), ("generator", 3, 3)]
    assert result.startswith("trained in process")
    assert not result.endswith(f" {os.getpid()}")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RefusedInputError("too few images"), RefusedInputError),
        (KeyError("weights"), UnexpectedError),
    ],
)
def test_an_error_in_a_stream_is_raised_as_it_was(error: Exception, kind: type[Exception]) -> None:
    def train(report: Callable[..., None]) -> None:
        report("generator", 1, 2)
        raise error

    with Executor(Compute()) as executor, pytest.raises(kind) as found:
        executor.stream(train, lambda *what: None)
    assert type(found.value) is kind
    assert str(error) in str(found.value)


def test_a_stream_whose_worker_is_killed_begins_again_and_gives_up_in_the_end(
    two_attempts: None, tmp_path: Path
) -> None:
    def train(deaths: int, report: Callable[..., None]) -> str:
        name = f"deaths-{deaths}"
        report("generator", 1, 2)
        if note(tmp_path / name, "x") <= deaths:
            time.sleep(0.2)
            os._exit(9)
        return "trained"

    with Executor(Compute()) as executor:
        assert executor.stream(partial(train, 1), lambda *what: None) == "trained"
        with pytest.raises(TransientError, match="the worker died 2 times"):
            executor.stream(partial(train, 99), lambda *what: None)
    assert note(tmp_path / "deaths-99", "") == 2 + 1


def test_the_number_of_training_threads_does_not_follow_the_number_of_workers() -> None:
    def threads(report: Callable[..., None]) -> int:
        import torch

        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return found[0]

    cpus = (os.cpu_count() or 1) + 1
    with Executor(Compute(cpus=cpus)) as executor:
        assert executor.stream(threads, lambda *what: None) == os.cpu_count()


def fill(number: int) -> None:
    raise OSError(number, os.strerror(number), "/tmp/mtlue-run-x/protected.tar")


def test_a_full_disk_ends_the_run_with_its_name_and_no_other_job_is_begun() -> None:
    with Executor(Compute(cpus=1)) as executor:
        jobs = [Job(f"{number}", partial(fill, errno.ENOSPC)) for number in range(50)]
        with pytest.raises(UnwritableError, match=r"protected\.tar: No space left on device; free some space"):
            list(executor.map(jobs))
