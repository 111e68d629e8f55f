"""Running mtlue in tests: in this process, through its command line, or as a process of its own that can be killed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from pipeline.cluster.progress import Reporter
from pipeline.run.result import RunResult
from pipeline.run.run import run as run_config
from schemas.config import Config
from schemas.dataset import Storage
from stages.io.store.store import Store

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 600  # a net for what hangs; a busy machine may take minutes
LOOK_SECONDS = 0.2
"""Between two looks at a process; to ask a store without a pause takes a core from the run that is waited for."""

COMMAND = """
import os, signal
os.cpu_count = lambda: 1  # threads of a training, as in this process (`one_thread` in conftest.py)
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a script would ignore it
from pipeline.cli import main
main()
"""
"""The command line, for a process of its own."""


@dataclass(frozen=True)
class Ended:
    """A command that came to its end."""

    code: int
    out: str
    err: str


def run(config: Config, *, retrain: bool = False, take_over: bool = False, prune: bool = False) -> RunResult:
    """One run in this process, on the Ray that is there."""
    return run_config(config, Reporter("plain"), retrain=retrain, take_over=take_over, prune=prune)


def write_config(path: Path, config: Config) -> Path:
    """The configuration as a YAML file; of the training only what was given, for what has no part is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {**config.model_dump(mode="json"), "train": config.train.model_dump(mode="json", exclude_unset=True)}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def mtlue(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Ended:
    """The command line in this process: what it prints, and its exit code."""
    capsys.readouterr()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.MonkeyPatch.context() as context:
            context.setattr(sys, "argv", ["mtlue", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
    finally:
        signal.signal(signal.SIGTERM, handler)
    out, err = capsys.readouterr()
    return Ended(int(ended.value.code or 0), out, err)


def start(
    *arguments: str | Path, directory: Path, environment: Mapping[str, str] | None = None, prelude: str = ""
) -> subprocess.Popen[str]:
    """The command line as a process of its own, with a Ray of its own; its temporary files go to `directory/tmp`.

    Args:
        prelude: Python that it runs first.
    """
    temporary = directory / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", prelude + COMMAND, *map(str, arguments)],
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(temporary),
            "RAY_TMPDIR": "/tmp",  # the paths of its sockets must be short
            "RAY_memory_monitor_refresh_ms": "0",
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Return as soon as the condition holds; the process must still be running then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"it did not come to that (exit code {process.poll()}): {process.communicate()}")
        time.sleep(LOOK_SECONDS)


def end(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a process; one that hangs is ended, and tells where all its threads are."""
    try:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        code = process.poll()
        process.send_signal(signal.SIGABRT)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        raise AssertionError(f"it hangs (exit code {code}): {out}{err}") from None
    return Ended(process.returncode, out, err)


def processes_of(directory: Path) -> list[int]:
    """Processes whose temporary files go below a directory: a run, its Ray and its workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes().split(b"\0")
        except OSError:  # it ended
            continue
        if f"TMPDIR={directory}/tmp".encode() in environment:
            found.append(int(path.parent.name))
    return found


def gone(directory: Path) -> bool:
    """Whether every process of a run that was broken off ends by itself; waits for it."""
    deadline = time.monotonic() + 120  # a busy machine is slow to notice
    while (left := processes_of(directory)) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return not left


def contents(url: str, storage: Storage = Storage()) -> dict[str, str]:
    """Name → SHA-256 of everything in a place but the logs of runs, which tell what was done and when."""
    store = Store(url, storage)
    names = [entry.name for entry in store.list() if not entry.name.startswith("runs/")]
    return {name: hashlib.sha256(store.read(name)).hexdigest() for name in names}


def shards_in(url: str, storage: Storage = Storage()) -> dict[str, str]:
    """`contents` of the shards alone."""
    return {name: digest for name, digest in contents(url, storage).items() if name.endswith(".tar")}
