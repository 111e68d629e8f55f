"""Countermeasures through the whole tool: trained by the strongest victim, kept, shown, and counted by the gate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from schemas.config import Config
from stages.networks.backbones.architectures import BACKBONES
from tests.builders import config, labelled_samples, write_shard
from tests.running import mtlue, run, write_config

pytestmark = pytest.mark.usefixtures("here")


def configured(root: Path, **audit: Any) -> Config:
    """Class codes of one round: what they protect is not asked here."""
    train = {"perturber": "codes", "rounds": 1}
    return config(root, train=train, audit=audit) if audit else config(root, train=train)


@pytest.fixture(scope="module")
def published(here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place after a run without an audit."""
    root = tmp_path_factory.mktemp("published")
    write_shard(root / "raw/train-0.tar", labelled_samples(64))
    write_shard(root / "raw/test-0.tar", labelled_samples(40, seed=9))
    run(configured(root))
    return root


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    """A copy of the published place."""
    return Path(shutil.copytree(published, tmp_path / "copy"))


def victims_in(root: Path) -> dict[str, int]:
    """Name → time of writing of every victim's result."""
    return {path.name: path.stat().st_mtime_ns for path in (root / "private/victims").iterdir()}


def test_an_audit_trains_the_strongest_victim_against_each_countermeasure_once(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = configured(copied, victims=["plain", "resnet18"], countermeasures=["gray", "projection"])
    file = write_config(copied / "pipeline.yaml", asked)
    ended = mtlue(capsys, "audit", "--config", file, "--json")
    assert ended.code == 0, ended.err
    told, victims = json.loads(ended.out), victims_in(copied)
    attacks = [name for name in victims if "gray" in name or "projection" in name]
    assert len(victims) == 2 * 3 + 2 * 2
    assert len({name.split("-")[1] for name in attacks}) == 1  # the strongest alone

    assert {row["name"] for row in told["attacks"]} == {"none", "gray", "projection"}
    reached = [row["means"]["protected"]["best"] for row in told["attacks"]]
    assert reached == sorted(reached, reverse=True)
    assert set(told["attacks"][0]["means"]) >= {"clean", "protected"}
    assert {(leak["name"], leak["task"]) for leak in told["leaks"]} == {
        ("detectable", ""), ("delta_alone", "a"), ("delta_alone", "b"),
    }  # fmt: skip
    low, high = told["means"]["protected"]["best_interval"]
    assert 0 <= low <= told["means"]["protected"]["best"] <= high <= 1
    lines = mtlue(capsys, "audit", "--config", file).out
    assert "gray" in lines
    assert "leak delta_alone (a): " in lines
    assert "projection" in lines
    assert victims_in(copied) == victims

    html, markdown = (copied / "private/report.html").read_text(), (copied / "private/report.md").read_text()
    assert told["report"].endswith("report.html")
    assert "orthogonal projection" in html
    assert "What does the perturbation alone say of a label?" in html
    assert "| Can a linear model tell protected from clean images? | all images |" in markdown
    assert "Clean, sample" in html  # originals beside their protected copies
    assert markdown.index("| countermeasure |") < markdown.index("| orthogonal projection |")
    assert "Not tried: JPEG, quality 95" in markdown
    written = json.loads((copied / "private/report.json").read_text())
    assert written["sentence"] == told["sentence"]


def test_an_audit_on_a_budget_tells_what_it_left_out_and_another_one_goes_on(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = configured(copied, victims=["plain"], countermeasures=["gray", "clean_samples"])
    file = write_config(copied / "pipeline.yaml", asked)
    first = json.loads(mtlue(capsys, "audit", "--config", file, "--budget", "0.001s", "--json").out)
    assert first["word"] != "not measured"  # one victim on clean and one on protected data are always trained
    assert first["attacks"] == []
    assert "gray by plain at 0.001 on protected data" in first["left_out"]
    trained = victims_in(copied)
    assert len(trained) == 2

    lines = mtlue(capsys, "audit", "--config", file, "--budget", "9h").out
    assert "left out" not in lines
    assert "needs a leak, not counted" in lines
    assert trained.items() < victims_in(copied).items()
    told = json.loads(mtlue(capsys, "audit", "--config", file, "--json").out)
    assert told["left_out"] == []
    assert [row["name"] for row in told["attacks"]][-1] == "clean_samples"


def test_without_held_out_shards_a_fifth_of_the_dataset_is_held_out_and_the_report_says_so(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = configured(copied, victims=["plain"])
    file = write_config(copied / "pipeline.yaml", asked)
    split = ("audit", "--config", file, "--set", "dataset.test_shards=null")
    told = json.loads(mtlue(capsys, *split, "--json").out)
    assert told["split"]
    assert 3 <= told["test_samples"] <= 25
    trained = [json.loads(path.read_text()) for path in (copied / "private/victims").iterdir()]
    assert {victim["samples"] + victim["test_samples"] for victim in trained} == {64}
    assert "(a fifth of the dataset, by key hash)" in mtlue(capsys, *split).out
    for name in ("report.html", "report.md"):
        assert "a fifth of this dataset" in (copied / "private" / name).read_text()

    few = mtlue(capsys, *split, "--set", "audit.max_samples=40")
    assert few.code == 2
    assert "40 samples are too few to hold some out (50 at least); set dataset.test_shards" in few.err


def test_victims_that_start_from_local_weights_are_tried_fine_tuned_and_frozen(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = copied / "weights.safetensors"
    save_file(BACKBONES["resnet18"](width=4, resolution=16).state_dict(), weights)
    given = {"backbone": "resnet18", "width": 4, "weights": str(weights)}
    file = write_config(copied / "pipeline.yaml", configured(copied, victims=["plain"], pretrained=given))
    told = json.loads(mtlue(capsys, "audit", "--config", file, "--json").out)
    assert {row["name"]: row["counts"] for row in told["attacks"]} == {
        "none": True, "pretrained": True, "pretrained_frozen": True,
    }  # fmt: skip
    assert all(set(row["means"]) >= {"clean", "protected"} for row in told["attacks"])
    assert "pretrained weights, frozen" in (copied / "private/report.html").read_text()

    weights.write_bytes(b"no weights")
    ended = mtlue(capsys, "audit", "--config", file)
    assert ended.code == 2
    assert "audit.pretrained, at width 4 and 16 px" in ended.err
