"""One writer: a run whose lease is another's by now ends with exit code 4, and writes nothing more anywhere."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.cluster.progress import Reporter, Step
from pipeline.run.run import run as run_config
from pipeline.state import lease
from schemas.config import Config
from schemas.dataset import Storage
from schemas.errors import ConfigError, LeaseError
from schemas.protection import Protection
from stages.io.store.store import Store
from tests.builders import config, labelled_samples, write_shard
from tests.running import contents, end, mtlue, run, start, wait_for, write_config
from tests.servers import S3Server

pytestmark = pytest.mark.slow

OTHER = b'{"run": "0123456789abcdef", "host": "elsewhere", "boot": "another", "process": 1, "beat": 3}'
EXPIRY = 10.0
SHORT_LEASE = f"from pipeline.state import lease; lease.HEARTBEAT_SECONDS, lease.EXPIRY_SECONDS = 0.2, {EXPIRY}"
"""Shorter than others wait for a silent run: one that was stopped so long has lost it in any case."""


def prepared(root: Path, **overrides: object) -> Config:
    for shard in range(2):
        write_shard(root / f"raw/train-{shard}.tar", labelled_samples(24, seed=shard))
    write_shard(root / "raw/test-0.tar", labelled_samples(24, seed=9))
    return config(root, **overrides)


class Thief(Reporter):
    """Takes the lease over when a step begins, or when its last unit is done."""

    def __init__(self, steal: Callable[[], None], step: str, *, at_its_end: bool) -> None:
        super().__init__("plain")
        self.steal, self.when, self.at_its_end = steal, step, at_its_end

    @contextmanager
    def step(self, what: str, total: int, unit: str) -> Iterator[Step]:
        with super().step(what, total, unit) as step:
            if what == self.when and not self.at_its_end:
                self.steal()
            yield step
            if what == self.when and self.at_its_end:
                self.steal()


@pytest.mark.parametrize(
    ("place", "step", "at_its_end"),
    [("disk", "train", False), ("disk", "victims", False), ("disk", "protect", True), ("s3", "protect", False)],
)
def test_a_run_whose_lease_is_taken_over_in_any_step_stops_and_writes_nothing_more(
    here: None, tmp_path: Path, request: pytest.FixtureRequest, place: str, step: str, at_its_end: bool
) -> None:
    storage, places = Storage(), {}
    if place == "s3":
        s3: S3Server = request.getfixturevalue("s3")
        bucket, storage = s3.bucket(), s3.storage
        places = {"output": f"{bucket}/public", "work": f"{bucket}/private"}
        for shard in ("train-0", "train-1", "test-0"):
            path = write_shard(tmp_path / f"{shard}.tar", labelled_samples(24, seed=len(shard)))
            Store(f"{bucket}/raw", storage).put(path, f"{shard}.tar")
        shards = {"shards": f"{bucket}/raw/train-*.tar", "test_shards": f"{bucket}/raw/test-*.tar"}
        places["dataset"] = {**shards, "storage": {"endpoint_url": s3.endpoint_url}}
    made = prepared(tmp_path, audit={}, **places)
    at_theft: list[dict[str, str]] = []

    def steal() -> None:
        Store(made.work, storage).write("lease.json", OTHER)
        time.sleep(0.2)
        at_theft.extend((contents(made.output, storage), contents(made.work, storage)))

    with pytest.raises(LeaseError, match="this one stops|it stops"):
        run_config(made, Thief(steal, step, at_its_end=at_its_end))
    assert [contents(made.output, storage), contents(made.work, storage)] == at_theft
    assert "manifest.json" not in at_theft[0]


def test_of_two_runs_at_once_one_works_and_a_stopped_one_that_goes_on_later_writes_nothing(
    here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepared(tmp_path, train={"epochs": 100_000})
    work = Store(made.work)
    path = write_config(tmp_path / "pipeline.yaml", made)
    first = start("run", path, directory=tmp_path, prelude=SHORT_LEASE)
    wait_for(lambda: work.stat("lease.json") is not None, first)

    refused = mtlue(capsys, "run", path)
    assert refused.code == 4
    assert "works here" in refused.err

    wait_for(lambda: bool(work.list("tables/")), first)
    os.kill(first.pid, signal.SIGSTOP)
    monkeypatch.setattr(lease, "EXPIRY_SECONDS", EXPIRY + 2)
    assert mtlue(capsys, "run", path, "--set", "train.epochs=1").code == 0
    finished = [contents(made.output), contents(made.work)]
    os.kill(first.pid, signal.SIGCONT)
    os.kill(first.pid, 0)
    ended = end(first)
    assert ended.code == 4, ended.err
    assert "lease.json" in ended.err
    assert [contents(made.output), contents(made.work)] == finished


def test_another_work_is_refused_an_output_that_has_an_owner_until_it_takes_the_place_over(
    here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = prepared(tmp_path)
    run(made)
    published = contents(made.output)
    other = made.model_copy(update={"work": f"{tmp_path}/elsewhere", "protection": Protection(epsilon=4 / 255)})
    write_shard(tmp_path / "raw2/train-9.tar", labelled_samples(24, seed=7))  # another dataset: no shard is the same
    other = other.model_copy(update={"dataset": other.dataset.model_copy(update={"shards": f"{tmp_path}/raw2/*.tar"})})
    path = write_config(tmp_path / "other.yaml", other)
    refused = mtlue(capsys, "run", path)
    assert refused.code == 2
    for word in (made.output, other.work, "belongs to another `work`", "another `output`", "--take-over"):
        assert word in refused.err
    assert contents(made.output) == published, "the other's data was touched"
    assert not list(Path(other.work).glob("tables/*")), "it took a whole reading of the data to say so"

    taken = mtlue(capsys, "run", path, "--take-over")
    assert taken.code == 1
    assert "withdrawn   2 shards (train-0.tar, train-1.tar)" in taken.out, "the other's shards are public still"
    with pytest.raises(ConfigError, match="belongs to another `work`"):
        run(made)
    assert run(other).done_before == 1

    manifest = json.loads(Path(made.output, "manifest.json").read_text())
    assert [shard["name"] for shard in manifest["shards"]] == ["train-9.tar"]
    for name in ("README.md", "croissant.json", "wids.json", "manifest.json"):
        assert "mtlue-owner" not in Path(made.output, name).read_text()
    mark = Path(made.output, ".mtlue-owner.json").read_text()
    assert str(tmp_path) not in mark, "the public place tells where the private one lies"
    Path(made.output, "train-0.tar").unlink()
    Path(made.output, "train-1.tar").unlink()
    assert mtlue(capsys, "verify", made.output).code == 0


def test_a_run_whose_output_is_taken_over_under_way_stops_and_writes_nothing_more(here: None, tmp_path: Path) -> None:
    made = prepared(tmp_path)
    at_theft: list[dict[str, str]] = []

    def steal() -> None:
        Path(made.output, ".mtlue-owner.json").write_text('{"work": "another"}')
        at_theft.append(contents(made.output))

    with pytest.raises(LeaseError, match="another `work` took this output over"):
        run_config(made, Thief(steal, "protect", at_its_end=False))
    assert [contents(made.output)] == at_theft
