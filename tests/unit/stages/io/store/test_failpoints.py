"""A writer dies where a test says, as in a power cut: never half an object, and what it leaves goes in time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stages.io.store.failpoints import VARIABLE
from stages.io.store.store import Store
from tests.running import ROOT

WRITE = "import sys; from stages.io.store.store import Store; Store(sys.argv[1]).write('a/b.txt', b'new')"


def write(place: Path, armed: Path) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(armed)}
    return subprocess.run([sys.executable, "-c", WRITE, place], env=environment).returncode


@pytest.mark.parametrize(
    ("point", "found"), [("before write */a/b.txt", b"old"), ("flushed */a/b.txt", b"old"), ("after write *", b"new")]
)
def test_a_writer_that_dies_leaves_the_old_object_or_the_new_one(tmp_path: Path, point: str, found: bytes) -> None:
    store, armed = Store(str(tmp_path / "root")), tmp_path / "armed"
    store.write("a/b.txt", b"old")
    armed.mkdir()
    (armed / "0").write_text(point)
    assert write(tmp_path / "root", armed) == -signal.SIGKILL
    assert store.read("a/b.txt") == found
    assert [entry.name for entry in store.list()] == ["a/b.txt"]
    assert write(tmp_path / "root", armed) == 0, "each file is one death"
    assert store.read("a/b.txt") == b"new"


def test_unfinished_files_are_removed_when_nobody_has_written_to_them_for_an_hour(tmp_path: Path) -> None:
    store, armed = Store(str(tmp_path / "root")), tmp_path / "armed"
    armed.mkdir()
    (armed / "0").write_text("flushed *")
    write(tmp_path / "root", armed)
    (part,) = (tmp_path / "root/a").iterdir()
    store.sweep()
    assert part.exists(), "it may be that of a writer at work"
    os.utime(part, (0, 0))
    store.sweep()
    assert not part.exists()
