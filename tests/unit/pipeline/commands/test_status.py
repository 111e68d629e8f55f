"""What the command line does everywhere, and the configuration that `status` remembers."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.commands import run as run_command
from pipeline.state.last_run import PLACE, last_run, remember
from tests.running import mtlue
from tests.unit.pipeline.commands.test_init import labelled, shard


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with shards and a configuration, x.yaml."""
    monkeypatch.chdir(tmp_path)
    shard(tmp_path / "raw" / "a.tar", labelled(label=[n % 3 for n in range(9)]))
    Path("x.yaml").write_text(
        "dataset: {shards: raw, image: jpg}\ntasks: [{field: json.label, classes: 3}]\noutput: public\nwork: private\n"
    )
    return tmp_path


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert mtlue(capsys, "--version").out == f"mtlue {version('mtlue')}\n"


def test_help_names_debug_and_completion(capsys: pytest.CaptureFixture[str]) -> None:
    out = mtlue(capsys, "--help").out
    for option in ("--version", "--debug", "--install-completion"):
        assert option in out


@pytest.mark.parametrize(("typed", "offered"), [("mtlue pl", "plan"), ("mtlue import fol", "folder")])
def test_a_shell_completes_commands_and_datasets(
    typed: str, offered: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_MTLUE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    ended = mtlue(capsys)
    assert (ended.code, ended.out.split(), ended.err) == (0, [offered], "")


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(run_command, "plan", lambda *arguments: asked.append(arguments))
    assert mtlue(capsys, "run", "x.yaml", "--set", "train.rounds=2", "--dry-run", "--json").code == 0
    assert asked == [(Path("x.yaml"), ["train.rounds=2"], True)]
    assert {path.name for path in directory.iterdir()} == {"raw", "x.yaml"}


def test_status_is_that_of_the_last_run_in_this_directory(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remember(Path("x.yaml"), ["train.rounds=2"])
    ended = mtlue(capsys, "status")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[0] == "of          x.yaml --set 'train.rounds=2' (the last run in this directory)"
    assert json.loads(mtlue(capsys, "status", "--json").out)["of"] == "x.yaml --set 'train.rounds=2'"
    assert "last run in this directory" not in mtlue(capsys, "status", "x.yaml").out


def test_status_without_a_run_or_its_configuration_asks_for_one(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "pipeline.yaml: no such file" in mtlue(capsys, "status").err
    remember(Path("x.yaml"), None)
    os.remove("x.yaml")
    assert last_run() is None
    PLACE.write_text("damaged")
    assert last_run() is None
    assert mtlue(capsys, "status").code == 2


def test_a_mistake_in_the_configuration_of_a_run_is_not_remembered(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mtlue(capsys, "run", "x.yaml", "--set", "train.round=2").code == 2
    assert last_run() is None
