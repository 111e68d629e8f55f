"""Runs that are killed or interrupted between two shards: the next one goes on, and the bytes are those of an unbroken
run. Each broken run is a process of its own with a Ray of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.state import lease
from pipeline.state.lease_record import holder_of
from pipeline.state.ledger import Ledger
from schemas.config import Config
from stages.io.store.store import Store
from tests.builders import config, jpeg, labelled_samples, picture, write_shard
from tests.running import contents, end, gone, processes_of, run, shards_in, start, wait_for, write_config
from tests.servers import BreakingProxy, S3Server

pytestmark = pytest.mark.slow

SHARDS, PER_SHARD = 4, 12


@dataclass(frozen=True)
class Unbroken:
    """Raw shards on S3, and what a run that nobody broke made of them."""

    raw: str
    shards: dict[str, str]


def configuration(server: S3Server | BreakingProxy, root: Path, raw: str, place: str) -> Config:
    dataset = {"shards": f"{raw}/*.tar", "storage": {"endpoint_url": server.endpoint_url}}
    # One worker: the last shard is begun when the others are done.
    return config(root, dataset=dataset, output=f"{place}/public", work=f"{place}/private", compute={"cpus": 1})


@pytest.fixture(scope="module")
def unbroken(s3: S3Server, here: None, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    root = tmp_path_factory.mktemp("unbroken")
    raw = Store(f"{s3.bucket()}/raw", s3.storage)
    image = jpeg(picture(1, 64, 64))
    for shard in range(SHARDS):
        samples = [(key, [("jpg", image), members[1]]) for key, members in labelled_samples(PER_SHARD, seed=shard)]
        raw.put(write_shard(root / "shard.tar", samples), f"train-{shard:05d}.tar")
    made = configuration(s3, root, raw.url, s3.bucket())
    assert len(run(made).records) == SHARDS
    return Unbroken(raw.url, shards_in(made.output, s3.storage))


def published(made: Config, server: S3Server) -> Callable[[], int]:
    ledger = Ledger(Store(made.work, server.storage))
    return lambda: len(ledger.identities())


def temporary_files(directory: Path) -> list[str]:
    return [path.name for path in (directory / "tmp").iterdir() if path.name.startswith("mtlue-")]


def test_a_run_that_loses_its_ray_is_interrupted_and_killed_ends_with_the_bytes_of_an_unbroken_run(
    s3: S3Server, breaking: BreakingProxy, unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = configuration(breaking, tmp_path, unbroken.raw, s3.bucket())
    count, work = published(made, s3), Store(made.work, s3.storage)
    path = write_config(tmp_path / "pipeline.yaml", made)

    def up_to(shard: int) -> tuple[subprocess.Popen[str], Path]:
        """A run that has published everything before `shard`, which it never can: it does not end by itself."""
        directory = tmp_path / f"up-to-{shard}"
        breaking.hold(f"PUT /{made.output.removeprefix('s3://')}/train-{shard:05d}.tar")
        process = start("run", path, directory=directory)
        wait_for(lambda: count() == shard, process)
        return process, directory

    process, directory = up_to(1)
    (raylet,) = (pid for pid in processes_of(directory) if b"/raylet\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(raylet, signal.SIGKILL)
    ended = end(process)
    assert ended.code == 1
    assert "mtlue: Ray ended on this machine" in ended.err
    assert "worker died" not in ended.err, "a shard is blamed"
    assert gone(directory)

    process, directory = up_to(2)
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended.err
    assert ended.err.endswith("mtlue: interrupted; what is done is kept, the next run goes on from there\n")
    assert "Traceback" not in ended.err + ended.out
    assert gone(directory), "workers outlive the run that was interrupted"
    assert holder_of(work) is None, "the lease was not given back"
    assert temporary_files(directory) == [], "raw images are left in temporary files"

    process, directory = up_to(3)
    process.kill()
    assert end(process).code == -signal.SIGKILL
    assert gone(directory), "workers outlive the run that was killed"
    assert work.stat("lease.json") is not None, "a killed run cannot have given its lease back"
    assert "manifest.json" not in contents(made.output, s3.storage)

    def watch(seconds: float) -> None:
        pytest.fail("the lease of a dead process of this machine is watched, not taken over at once")

    monkeypatch.setattr(lease.time, "sleep", watch)
    breaking.let_go()
    result = run(made)
    assert (result.done_before, len(result.records)) == (3, SHARDS)
    assert shards_in(made.output, s3.storage) == unbroken.shards
    assert holder_of(work) is None


def test_an_interrupt_during_training_ends_it_and_the_next_run_trains_the_same_generator(
    s3: S3Server, unbroken: Unbroken, tmp_path: Path
) -> None:
    made = configuration(s3, tmp_path, unbroken.raw, s3.bucket())
    long = made.model_copy(update={"train": made.train.model_copy(update={"epochs": 100_000})})
    process = start("run", write_config(tmp_path / "pipeline.yaml", long), "--json", directory=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if '"train: generator"' in line:
            break
    os.kill(process.pid, signal.SIGTERM)
    ended = end(process)
    assert ended.code == 143, ended.err
    assert gone(tmp_path)
    names = contents(made.work, s3.storage)
    assert not [name for name in names if name.startswith("generator")]
    assert temporary_files(tmp_path) == []
    run(made)
    assert shards_in(made.output, s3.storage) == unbroken.shards
