"""The one loop over jobs: each job ends with one call, and what `failed` raises ends the step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from pipeline.cluster.jobs import Job
from pipeline.cluster.progress import Reporter
from pipeline.cluster.workers import Workers
from schemas.config import Compute
from schemas.errors import InputError, LeaseError, MtlueError
from tests.here import Here
from tests.running import ROOT


def halved(number: int) -> int:
    if number % 2:
        raise InputError(f"{number} is odd")
    return number // 2


def jobs(*numbers: int) -> list[Job[int]]:
    return [Job(str(number), partial(halved, number)) for number in numbers]


def test_each_job_ends_with_its_result_or_its_error() -> None:
    results: dict[str, int] = {}
    errors: dict[str, str] = {}
    with Here(Compute()) as executor:
        Workers(executor, Reporter("plain")).each(
            "halve",
            jobs(2, 3, 4),
            results.__setitem__,
            lambda name, error: errors.__setitem__(name, str(error)),
            count=3,
        )
    assert results == {"2": 1, "4": 2}
    assert errors == {"3": "3 is odd"}


def test_what_failed_raises_ends_the_step_and_no_job_begins_after_it() -> None:
    begun: list[str] = []

    def watched() -> Iterator[Job[int]]:
        for job in jobs(2, 3, 4):
            begun.append(job.name)
            yield job

    def refuse(name: str, error: MtlueError) -> None:
        raise error

    with Here(Compute()) as executor, pytest.raises(InputError, match="3 is odd"):
        Workers(executor, Reporter("plain")).each("halve", watched(), lambda name, result: None, refuse, count=3)
    assert begun == ["2", "3"]


def test_a_step_that_counts_more_than_jobs_shows_its_own_position(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[int] = []
    with Here(Compute()) as executor:
        Workers(executor, Reporter("json")).each(
            "halve",
            jobs(20, 40),
            lambda name, result: rows.append(result),
            lambda name, error: None,
            count=30,
            unit="rows",
            position=lambda: sum(rows),
        )
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (last["done"], last["total"]) == (30, 30)


def test_a_run_that_may_not_go_on_uses_no_result() -> None:
    class Lost(Workers):
        def check(self) -> None:
            raise LeaseError("another run holds the lease")

    used: list[str] = []
    with Here(Compute()) as executor, pytest.raises(LeaseError):
        Lost(executor, Reporter("plain")).each(
            "halve", jobs(2), lambda name, result: used.append(name), lambda name, error: None, count=1
        )
    assert not used


LATE = """
import sys
from pipeline.cluster.worker import call
def threads():
    import torch
    return torch.get_num_threads()
print('torch' in sys.modules, call(threads, '', 600))
"""


def test_a_worker_loads_torch_with_the_first_job_that_needs_it_and_for_one_thread() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", LATE], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "1"]
