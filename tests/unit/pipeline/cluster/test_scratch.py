"""Temporary files hold raw images: they are private, and those of a killed process do not stay."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.cluster.executor import Executor
from pipeline.cluster.scratch import Scratch
from schemas.config import Compute

LEAVES = """
import os, signal, sys, tempfile
from pipeline.cluster.scratch import Scratch
scratch = Scratch()
open(f"{scratch.path}/raw.jpg", "wb").write(b"raw")
print(scratch.path, flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_one_keeps_its_own() -> None:
    living = subprocess.Popen(
        [sys.executable, "-c", LEAVES, "living"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert living.stdout is not None
    kept = Path(living.stdout.readline().strip())
    killed = subprocess.run([sys.executable, "-c", LEAVES, "killed"], stdout=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL
    left = Path(killed.stdout.strip())
    assert (left / "raw.jpg").exists()
    scratch = Scratch()
    assert not left.exists(), "raw images of a killed run stay"
    assert (kept / "raw.jpg").exists(), "the files of a living run were removed"
    scratch.close()
    living.communicate()


def test_the_driver_s_own_temporary_files_go_where_the_next_run_finds_them(here: Path) -> None:
    with Executor(Compute()), tempfile.TemporaryDirectory(prefix="mtlue-pairs-") as directory:
        parent = Path(directory).parent
        assert parent.parent == here
        assert parent.stat().st_mode & 0o777 == 0o700
    assert list(here.iterdir()) == []
    assert tempfile.gettempdir() == str(here)
