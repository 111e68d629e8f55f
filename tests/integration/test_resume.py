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


def endless(proxy: BreakingProxy, root: Path, raw: str, place: str) -> Config:
    """A configuration whose last shard is never stored: however slow the machine, its run does not end by itself."""
    made = configuration(proxy, root, raw, place)
    proxy.hold(f"PUT /{made.output.removeprefix('s3://')}/train-{SHARDS - 1:05d}.tar")
    return made


def published(made: Config, server: S3Server) -> Callable[[], int]:
    ledger = Ledger(Store(made.work, server.storage))
    return lambda: len(ledger.identities())


def break_off(process: subprocess.Popen[str], published: Callable[[], int], number: signal.Signals) -> int:
    """Send a signal to the process when it has published its first shard; how many shards were there by then."""
    before = published()
    wait_for(lambda: published() > before, process)
    os.kill(process.pid, number)
    return published()


def temporary_files(directory: Path) -> list[str]:
    return [path.name for path in (directory / "tmp").iterdir() if path.name.startswith("mtlue-")]


def test_a_killed_run_goes_on_from_its_last_shard_with_the_bytes_of_an_unbroken_run(
    s3: S3Server, breaking: BreakingProxy, unbroken: Unbroken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = endless(breaking, tmp_path, unbroken.raw, s3.bucket())
    count, work = published(made, s3), Store(made.work, s3.storage)
    process = start("run", write_config(tmp_path / "pipeline.yaml", made), directory=tmp_path)
    break_off(process, count, signal.SIGKILL)
    assert end(process).code == -signal.SIGKILL
    assert gone(tmp_path), "workers outlive the run that was killed"
    done = count()
    assert 1 <= done < SHARDS, "it was not killed between two shards"
    assert work.stat("lease.json") is not None, "a killed run cannot have given its lease back"
    assert "manifest.json" not in contents(made.output, s3.storage)

    def watch(seconds: float) -> None:
        pytest.fail("the lease of a dead process of this machine is watched, not taken over at once")

    monkeypatch.setattr(lease.time, "sleep", watch)
    breaking.let_go()
    result = run(made)
    assert result.done_before == done
    assert len(result.records) == SHARDS
    assert shards_in(made.output, s3.storage) == unbroken.shards
    assert holder_of(work) is None


def test_a_run_whose_ray_dies_says_so_and_blames_no_shard(
    s3: S3Server, breaking: BreakingProxy, unbroken: Unbroken, tmp_path: Path
) -> None:
    made = endless(breaking, tmp_path, unbroken.raw, s3.bucket())
    count = published(made, s3)
    process = start("run", write_config(tmp_path / "pipeline.yaml", made), directory=tmp_path)
    wait_for(lambda: count() > 0, process)
    (raylet,) = (pid for pid in processes_of(tmp_path) if b"/raylet\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(raylet, signal.SIGKILL)
    ended = end(process)
    assert ended.code == 1
    assert "mtlue: Ray ended on this machine" in ended.err
    assert "worker died" not in ended.err
    assert gone(tmp_path)
    breaking.let_go()
    done = count()
    assert run(made).done_before == done < SHARDS
    assert shards_in(made.output, s3.storage) == unbroken.shards


def test_an_interrupted_run_ends_with_130_and_leaves_nothing_behind_but_what_is_done(
    s3: S3Server, breaking: BreakingProxy, unbroken: Unbroken, tmp_path: Path
) -> None:
    made = endless(breaking, tmp_path, unbroken.raw, s3.bucket())
    count = published(made, s3)
    process = start("run", write_config(tmp_path / "pipeline.yaml", made), directory=tmp_path)
    break_off(process, count, signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended.err
    assert ended.err.endswith("mtlue: interrupted; what is done is kept, the next run goes on from there\n")
    assert "Traceback" not in ended.err + ended.out
    assert gone(tmp_path), "workers outlive the run that was interrupted"
    assert holder_of(Store(made.work, s3.storage)) is None, "the lease was not given back"
    assert temporary_files(tmp_path) == [], "raw images are left in temporary files"
    done = count()
    assert 1 <= done < SHARDS
    breaking.let_go()
    result = run(made)
    assert result.done_before == done
    assert shards_in(made.output, s3.storage) == unbroken.shards


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
