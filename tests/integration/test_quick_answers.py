"""Help, a status and a mistake are answered at once: nothing heavy is imported for them. Modules are held, no times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import config, labelled_samples, write_shard
from tests.running import ROOT, run, write_config

HEAVY = {"cv2", "matplotlib", "pyarrow", "ray", "torch", "torchvision", "webdataset"}

ANSWER = """
import json, sys
from pipeline.cli import main
try:
    main()
except SystemExit as ended:
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"code": ended.code, "loaded": loaded}), file=sys.stderr)
"""


def answer(*arguments: str | Path, directory: Path) -> tuple[int, str, set[str]]:
    """Exit code of a command in a process of its own, what it printed, and the packages that it had loaded then."""
    ended = subprocess.run(
        [sys.executable, "-c", ANSWER, *map(str, arguments)],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=True,
    )
    *errors, last = ended.stderr.splitlines()
    found = json.loads(last)
    return found["code"], "\n".join([ended.stdout, *errors]), set(found["loaded"])


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("", "Say what is done, what is left"),
        ("run", "--retrain"),
        ("plan", "--set"),
        ("verify", "--fraction"),
        ("status", "--json"),
        ("audit", "--config"),
        ("preview", "--samples"),
        ("init", "--config"),
        ("schema", "JSON schema"),
        ("import", "multifashion"),
        ("import folder", "--labels"),
        ("import celeba", "--crop"),
        ("import nyuv2", "--classes"),
        ("import scenes", "--contrast"),
        ("import multifashion", "--rgb"),
    ],
)
def test_help_loads_nothing_heavy(command: str, text: str, tmp_path: Path) -> None:
    code, printed, loaded = answer(*command.split(), "--help", directory=tmp_path)
    assert code == 0
    assert text in printed
    assert not loaded & HEAVY


@pytest.mark.parametrize("command", ["run", "plan", "status", "preview"])
def test_a_mistake_in_the_configuration_is_told_before_anything_heavy_is_loaded(command: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nspeed: 3\n")
    code, printed, loaded = answer(command, "bad.yaml", directory=tmp_path)
    assert code == 2
    assert "unknown key 'speed'" in printed
    assert not loaded & HEAVY


@pytest.mark.parametrize("command", ["verify", "audit"])
def test_a_mistake_in_the_configuration_of_what_is_published_is_told_before_anything_heavy_is_loaded(
    command: str, tmp_path: Path
) -> None:
    code, printed, loaded = answer(command, "public", "--config", "bad.yaml", directory=tmp_path)
    assert code == 2
    assert "no such file" in printed
    assert not loaded & HEAVY


def test_the_status_of_a_finished_run_loads_nothing_heavy(tmp_path: Path, here: None) -> None:
    write_shard(tmp_path / "raw/train-00000.tar", labelled_samples(8))
    made = config(tmp_path)
    run(made)
    code, printed, loaded = answer("status", write_config(tmp_path / "pipeline.yaml", made), directory=tmp_path)
    assert code == 0
    assert "1 planned, 1 published, 0 failed, 0 to do" in printed
    assert not loaded & HEAVY


def test_what_only_some_networks_and_reports_need_is_loaded_with_them() -> None:
    code = "import pipeline.run.run, sys; print(*sorted({'matplotlib', 'torchjd', 'torchvision'} & {*sys.modules}))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
