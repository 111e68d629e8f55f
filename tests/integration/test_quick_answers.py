"""Help, a status and a mistake are answered at once: nothing heavy is imported for them. Modules are held, no times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.builders import config, labelled_samples, write_shard
from tests.running import ROOT, run, write_config

HEAVY = {"cv2", "matplotlib", "pyarrow", "ray", "torch", "torchvision", "webdataset"}

ANSWERS = """
import json, os, sys
from pipeline.cli import main
for number, arguments in enumerate(json.loads(sys.argv[1])):
    if os.fork():
        os.wait()
        continue
    for stream in (1, 2):
        os.dup2(os.open(f"answer-{number}-{stream}", os.O_CREAT | os.O_WRONLY), stream)
    sys.argv = ["mtlue", *arguments]
    try:
        main()
    except SystemExit as ended:
        loaded = sorted({name.partition(".")[0] for name in sys.modules})
        print(json.dumps({"code": ended.code, "loaded": loaded}), file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
"""
"""Each command in a process of its own, forked where the command line is imported and nothing else was done."""

Answer = tuple[int, str, set[str]]
"""Exit code of a command, what it printed, and the packages that it had loaded then."""


def answers(commands: Sequence[Sequence[str | Path]], directory: Path) -> list[Answer]:
    """The answer to each command, all given in one directory."""
    subprocess.run(
        [sys.executable, "-c", ANSWERS, json.dumps([[str(each) for each in command] for command in commands])],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        check=True,
    )
    found = []
    for number in range(len(commands)):
        out, err = ((directory / f"answer-{number}-{stream}").read_text() for stream in (1, 2))
        *errors, last = err.splitlines()
        ended = json.loads(last)
        found.append((ended["code"], "\n".join([out, *errors]), set(ended["loaded"])))
    return found


HELPS = [
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
]
"""A command, and a word of its help."""


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """The help of each command."""
    commands = [command for command, _ in HELPS]
    asked = [(*command.split(), "--help") for command in commands]
    return dict(zip(commands, answers(asked, tmp_path_factory.mktemp("helps")), strict=True))


@pytest.mark.parametrize(("command", "text"), HELPS)
def test_help_loads_nothing_heavy(command: str, text: str, helps: dict[str, Answer]) -> None:
    code, printed, loaded = helps[command]
    assert code == 0
    assert text in printed
    assert not loaded & HEAVY


def test_a_mistake_in_the_configuration_is_told_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nspeed: 3\n")
    commands = [(command, "bad.yaml") for command in ("run", "plan", "status", "preview")]
    for command, (code, printed, loaded) in zip(commands, answers(commands, tmp_path), strict=True):
        assert code == 2, command
        assert "unknown key 'speed'" in printed, command
        assert not loaded & HEAVY, command


def test_a_mistake_in_the_configuration_of_what_is_published_is_told_before_anything_heavy_is_loaded(
    tmp_path: Path,
) -> None:
    commands = [(command, "public", "--config", "bad.yaml") for command in ("verify", "audit")]
    for command, (code, printed, loaded) in zip(commands, answers(commands, tmp_path), strict=True):
        assert code == 2, command
        assert "no such file" in printed, command
        assert not loaded & HEAVY, command


def test_the_status_of_a_finished_run_loads_nothing_heavy(tmp_path: Path, here: None) -> None:
    write_shard(tmp_path / "raw/train-00000.tar", labelled_samples(8))
    made = config(tmp_path)
    run(made)
    ((code, printed, loaded),) = answers([("status", write_config(tmp_path / "pipeline.yaml", made))], tmp_path)
    assert code == 0
    assert "1 planned, 1 published, 0 failed, 0 to do" in printed
    assert not loaded & HEAVY


def test_what_only_some_networks_and_reports_need_is_loaded_with_them() -> None:
    code = "import pipeline.run.run, sys; print(*sorted({'matplotlib', 'torchjd', 'torchvision'} & {*sys.modules}))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
