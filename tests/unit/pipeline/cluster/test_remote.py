"""A user's own folders of our names replace nothing of ours, neither here nor in Ray's workers."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from ray import cloudpickle

from pipeline.cluster import remote
from stages.io.store.disk import Disk

ROOT = Path(remote.ROOT)

WORKER = """
import pickle, sys
sys.path[:0] = {last}  # as Ray does
function, arguments = pickle.load(sys.stdin.buffer)
print(function(*arguments))
"""


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    """A directory with folders of our names that hold something else."""
    for name in ("mtlue", "stages", "schemas", "pipeline"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    return tmp_path


def ended(code: str, directory: Path, path: str, given: bytes = b"") -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        cwd=directory,
        input=given,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_a_worker_imports_what_this_process_imported(shadow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray sends, unpacked in a process whose `sys.path` begins as Ray makes it; Ray itself is not needed."""
    monkeypatch.chdir(shadow)
    call = cloudpickle.dumps((remote._call._function, remote._packed(inspect.getfile, (Disk,))))
    assert isinstance(pickle.loads(call), tuple)  # noqa: S301 - just made
    found = ended(WORKER.format(last=[str(shadow)]), Path("/"), f"{shadow}:{ROOT}", call)
    assert found == str(ROOT / "stages/io/store/disk.py")


def test_the_command_imports_its_own_packages_whatever_comes_first_on_the_path(shadow: Path) -> None:
    (shadow / "mtlue/__init__.py").unlink()
    (shadow / "mtlue").rmdir()
    code = "import mtlue, pipeline.cli, stages, schemas; print(pipeline.__file__, stages.__file__, schemas.__file__)"
    assert ended(code, shadow, f"{shadow}:{ROOT}").split() == [
        str(ROOT / name / "__init__.py") for name in ("pipeline", "stages", "schemas")
    ]
