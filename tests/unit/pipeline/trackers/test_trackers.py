"""Trackers: what lies in a run's folder afterwards, what MLflow was sent, and that no tracker ends a run."""

from __future__ import annotations

import errno
import io
import json
import logging
import re
import struct
from pathlib import Path

import pytest

from pipeline.cluster.progress import Reporter
from pipeline.trackers import folder as run_folder
from pipeline.trackers.log import LogFile
from pipeline.trackers.mlflow import check_mlflow
from pipeline.trackers.trackers import tracked
from schemas.config import Config, Watch
from schemas.errors import ConfigError, EvidenceError, TransientError
from stages.io.store.store import Store
from tests import builders


def told(reporter: Reporter) -> None:
    """A short run."""
    reporter.say("ingest: new shards are unlike those before")
    for number, loss in enumerate((0.9, 0.4, float("nan")), 1):
        reporter.events.tell("pass", "train", name="codes", number=number, figures={"total": loss})
    reporter.events.tell("published", "protect", name="train-0.tar", number=1, figures={"samples": 24})
    reporter.events.tell("failed", "protect", name="train-1.tar", number=1, text="damaged")
    logging.getLogger("pipeline.cluster.executor").warning("train-1.tar is tried again")
    reporter.events.tell("ended", figures={"exit_code": 1})


def config(root: Path, **overrides: object) -> Config:
    builders.write_shard(root / "raw/train-0.tar", builders.labelled_samples(2))
    return builders.config(root, **overrides)


def folders(work: Store) -> list[str]:
    return sorted({entry.name.split("/")[1] for entry in work.list("runs/")})


def read(work: Store, name: str) -> str:
    (one,) = folders(work)
    return work.read(f"runs/{one}/{name}").decode()


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_a_runs_folder_has_a_log_events_and_curves(place: str, tmp_path: Path) -> None:
    work = Store(str(tmp_path / "private") if place == "disk" else f"memory://{tmp_path.name}-{place}")
    reporter = Reporter("plain")
    with tracked(reporter, config(tmp_path), work):
        told(reporter)
    log = read(work, "log.txt").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ (INFO|WARNING|ERROR) ", line) for line in log)
    said = [line.split(" ", 2)[2] for line in log]
    assert said[1:] == [
        "WARNING ingest: new shards are unlike those before",
        "INFO train: pass 1 of codes: total 0.9",
        "INFO train: pass 2 of codes: total 0.4",
        "INFO train: pass 3 of codes: total nan",
        "INFO protect: published train-0.tar: samples 24",
        "WARNING protect: failed train-1.tar: damaged",
        "WARNING train-1.tar is tried again",
        "ERROR ended: exit_code 1",
    ]
    lines = [json.loads(line) for line in read(work, "events.jsonl").splitlines()]
    assert [line["kind"] for line in lines] == ["began", "message", *["pass"] * 3, "published", "failed", "ended"]
    assert lines[2]["figures"] == {"total": 0.9}
    (curves,) = [entry.name for entry in work.list("runs/") if "tfevents" in entry.name]
    assert points(work.read(curves)) == [("train/codes/total", 1), ("train/codes/total", 2), ("protect/samples", 1)]


def points(data: bytes) -> list[tuple[str, int]]:
    """Tag and step of every point of an event file: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event as Point

    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        point = Point.FromString(data[at + 12 : at + 12 + size])
        found += [(value.tag, point.step) for value in point.summary.value]
        at += 16 + size
    return found


def test_the_last_runs_log_is_found(tmp_path: Path) -> None:
    work = Store(str(tmp_path / "private"))
    assert run_folder.last_log(work) is None
    for day in (2, 1):
        work.write(f"runs/2020-01-0{day}T00-00-00Z-abc/log.txt", b"")
    assert run_folder.last_log(work) == work.join("runs/2020-01-02T00-00-00Z-abc/log.txt")


def test_loggers_are_afterwards_as_before(tmp_path: Path) -> None:
    before = [(list(logger.handlers), logger.level) for logger in map(logging.getLogger, ("pipeline", "stages"))]
    with tracked(Reporter("plain"), config(tmp_path), Store(str(tmp_path / "private"))):
        pass
    assert before == [
        (list(logger.handlers), logger.level) for logger in map(logging.getLogger, ("pipeline", "stages"))
    ]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (EvidenceError("too good"), 1, "too good"),
        (KeyboardInterrupt(), 130, "interrupted; the next run goes on from there"),
        (ZeroDivisionError("0"), 1, "ZeroDivisionError: 0"),
    ],
)
def test_a_run_that_an_error_ends_says_so_last_with_its_exit_code(
    error: BaseException, code: int, words: str, tmp_path: Path
) -> None:
    work = Store(str(tmp_path / "private"))
    with pytest.raises(type(error)), tracked(Reporter("plain"), config(tmp_path), work):
        raise error
    last = json.loads(read(work, "events.jsonl").splitlines()[-1])
    assert (last["kind"], last["figures"], last["text"]) == ("ended", {"exit_code": code}, words)
    assert ("Traceback" in read(work, "log.txt")) == isinstance(error, ZeroDivisionError)


def test_a_store_that_takes_no_log_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Store, path: Path, name: str) -> None:
        raise TransientError("the store answered 503")

    monkeypatch.setattr(Store, "put", full)
    monkeypatch.setattr(run_folder, "SAVE_SECONDS", 0.0)
    reporter = Reporter("plain")
    with tracked(reporter, config(tmp_path), Store(f"memory://{tmp_path.name}-full")):
        told(reporter)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "events: Upload is switched off (TransientError: the store answered 503); the run goes on"
    )


def test_a_log_that_cannot_be_written_is_named_once_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    reporter, work = Reporter("plain"), Store(str(tmp_path / "private"))
    with tracked(reporter, config(tmp_path), work):
        (log,) = [each for each in reporter.events.listeners if isinstance(each, LogFile)]
        log.handler.stream.close()
        log.handler.stream = Full()  # type: ignore[assignment]
        logging.getLogger("pipeline.cluster.executor").warning("nothing of this is raised")
        told(reporter)
    lines = [line for line in capsys.readouterr().err.splitlines() if "LogFile" in line]
    assert lines == ["events: LogFile is switched off (OSError: [Errno 28] No space left on device); the run goes on"]
    assert "ended" in read(work, "events.jsonl")


def test_only_the_last_runs_keep_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "KEPT", 2)
    work = Store(str(tmp_path / "private"))
    for day in (1, 2, 3):
        work.write(f"runs/2020-01-0{day}T00-00-00Z-abc/log.txt", b"")
    with tracked(Reporter("plain"), config(tmp_path), work):
        pass
    kept = folders(work)
    assert kept[:2] == ["2020-01-02T00-00-00Z-abc", "2020-01-03T00-00-00Z-abc"]
    assert len(kept) == 3


def test_mlflow_gets_the_curves_and_no_word_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri, reporter = (tmp_path / "mlruns").as_uri(), Reporter("plain")
    checked = config(tmp_path).model_copy(update={"watch": Watch(mlflow=uri)})
    with tracked(reporter, checked, Store(str(tmp_path / "private"))):
        told(reporter)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(checked.name)
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FAILED"
    assert found.data.metrics == {"train/codes/total": 0.4, "protect/samples": 24}
    history = client.get_metric_history(found.info.run_id, "train/codes/total")
    assert [(point.step, point.value) for point in history] == [(1, 0.9), (2, 0.4)]
    assert found.data.params["epsilon"] == "8/255"
    texts = "".join(path.read_text() for path in (tmp_path / "mlruns").rglob("*") if path.is_file())
    assert "train-1.tar" not in texts


def test_mlflow_that_cannot_be_reached_ends_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mlflow")
    reporter = Reporter("plain")
    checked = config(tmp_path).model_copy(update={"watch": Watch(mlflow="nowhere://x")})
    with tracked(reporter, checked, Store(str(tmp_path / "private"))):
        told(reporter)
    assert sum("events: MLflow is switched off" in line for line in capsys.readouterr().err.splitlines()) == 1


def test_mlflow_that_is_not_installed_is_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.trackers.mlflow.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'mtlue[mlflow]'")):
        check_mlflow()


def test_a_password_in_the_tracking_address_is_refused() -> None:
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_PASSWORD") as found:
        Watch(mlflow="https://me:word@host/x")
    assert "word@" not in str(found.value).partition("input")[0]
