"""Countermeasures through the whole tool: trained by the strongest victim, kept, shown, and counted by the gate."""

import json
from pathlib import Path

import pytest

from tests.builders import config, labelled_samples, write_shard
from tests.running import mtlue, write_config

pytestmark = pytest.mark.usefixtures("ray_session")


def test_an_audit_trains_the_strongest_victim_against_each_countermeasure_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shard(tmp_path / "raw/train-0.tar", labelled_samples(64))
    write_shard(tmp_path / "raw/test-0.tar", labelled_samples(40, seed=9))
    audit = {"victims": ["plain", "resnet18"], "countermeasures": ["gray", "projection"]}
    file = write_config(tmp_path / "pipeline.yaml", config(tmp_path, audit=audit))
    assert mtlue(capsys, "run", file).code == 0
    victims = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "private/victims").iterdir()}
    attacks = [name for name in victims if "gray" in name or "projection" in name]
    assert len(victims) == 2 * 3 + 2 * 2
    assert len({name.split("-")[1] for name in attacks}) == 1  # the strongest alone

    shown = mtlue(capsys, "audit", "--config", file, "--json")
    told = json.loads(shown.out)
    assert {row["name"] for row in told["attacks"]} == {"none", "gray", "projection"}
    reached = [row["means"]["protected"]["best"] for row in told["attacks"]]
    assert reached == sorted(reached, reverse=True)
    assert set(told["attacks"][0]["means"]) >= {"clean", "protected"}
    lines = mtlue(capsys, "audit", "--config", file).out
    assert "gray" in lines
    assert "projection" in lines
    for name, written in victims.items():
        assert (tmp_path / "private/victims" / name).stat().st_mtime_ns == written
