"""The last lines of a command say what its JSON says, in words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.commands.audit import evidence_figures, evidence_lines
from pipeline.commands.plan import plan_lines
from pipeline.commands.run import run_figures, run_lines
from pipeline.commands.verify import verify_lines
from pipeline.run.estimate import RunEstimate
from pipeline.run.result import RunResult, exit_code
from pipeline.run.verify import Verified
from schemas.evidence import Evidence
from schemas.records import Manifest, ManifestShard, Quarantined, ShardFailure, ShardRecord
from schemas.stats import Moments
from schemas.training import Requirement
from stages.audit.verdict import NOT_MEASURED, held_against, reach_verdict
from stages.formatting import percent, size_text
from tests.evidence import TASKS, Curves, victims


def record(name: str, *psnrs: float, max_delta: int = 8) -> ShardRecord:
    moments = Moments()
    for value in psnrs:
        moments = moments.add(value)
    return ShardRecord(
        identity=name,
        name=name,
        source_sha256="",
        sha256="",
        bytes=1_500_000,
        samples=len(psnrs),
        labelled={},
        max_delta=max_delta,
        psnr=moments,
        delta=Moments(),
    )


def evidence(protected: tuple[Curves, Curves], requirement: Requirement | None = None) -> Evidence:
    audited = "20 samples in 1 of 2 shards"
    return held_against(reach_verdict(TASKS, [True, True], victims(protected), audited=audited), requirement)


def result(**fields: Any) -> RunResult:
    records = [record("a.tar", 31.0, 35.0), record("b.tar", 39.0, max_delta=7)]
    shards = [ManifestShard(name=each.name, bytes=each.bytes, sha256="", samples=each.samples) for each in records]
    values: dict[str, Any] = {
        "manifest": Manifest(name="x", samples=3, bytes=3_000_000, shards=shards),
        "records": records,
        "failures": [],
        "quarantined": [],
        "evidence": NOT_MEASURED,
        "report": "s3://b/private/report.html",
        "done_before": 0,
        "seconds": {"ingest": 1.0, "train": 61.0},
    }
    return RunResult(**(values | fields))


def test_figures_are_those_of_all_samples_and_survive_json() -> None:
    figures = json.loads(json.dumps(run_figures(result())))
    assert (figures["shards"], figures["samples"], figures["bytes"]) == (2, 3, 3_000_000)
    assert (figures["max_delta"], figures["psnr_mean_db"], figures["psnr_min_db"]) == (8, 35.0, 31.0)
    assert "evidence" not in figures
    assert "verdict" not in "\n".join(run_lines(result()))


def test_the_lines_name_what_failed_and_what_was_left_out() -> None:
    failures = [
        ShardFailure(name="c.tar", stage="ingest", error="InputError", message="shard c.tar: damaged at byte 7"),
        ShardFailure(name="d.tar", stage="protect", error="TransientError", message="shard d.tar: the worker died"),
    ]
    quarantined = [Quarantined(shard="a.tar", key="k", reason="corrupt-image", message="m")]
    ended = result(failures=failures, quarantined=quarantined, done_before=1)
    lines = run_lines(ended)
    assert "failed      shard c.tar: damaged at byte 7" in lines
    assert "failed      shard d.tar: the worker died" in lines
    assert "left out    1 samples, listed in left-out.json in `work`" in lines
    assert "shards      2 (1 done before)" in lines
    assert "samples     3 in 3.0 MB" in lines
    assert lines[-1] == "report      s3://b/private/report.html"
    assert exit_code(ended) == 1
    assert exit_code(result(quarantined=quarantined)) == 0


def test_evidence_shows_each_version_beside_chance_with_its_best_epoch() -> None:
    ended = result(evidence=evidence(([0.55, 0.52], [0.12, 0.11])))
    text = "\n".join(run_lines(ended))
    assert "resnet18: mean balanced accuracy on 100 held-out clean images (chance 30.0%)" in text
    assert "trained on clean       80.0% at the last epoch, 80.0% at the best" in text
    assert "trained on protected   31.5% at the last epoch, 33.5% at the best" in text
    assert "verdict     protected: Victims trained on the protected images reach" in text
    assert "short" not in text
    assert "  task " not in text, "every task is protected"
    figures = json.loads(json.dumps(run_figures(ended)["evidence"]))
    assert (figures["word"], figures["test_samples"], figures["chance"]) == ("protected", 100, 0.3)
    assert figures["audited"] == "20 samples in 1 of 2 shards"
    assert figures["means"]["protected"] == {"last": 0.315, "best": 0.335}
    assert list(figures["means"]) == ["clean", "noise", "protected"]
    assert (figures["requirement"], figures["shortfalls"]) == (None, [])


def test_each_task_that_is_not_protected_is_named_with_its_figures() -> None:
    ended = result(evidence=evidence(([0.5, 0.5], [0.36, 0.36])))
    assert "  task size: weakened, 36.0% with chance at 10.0%" in run_lines(ended)
    tasks = {task["name"]: task for task in run_figures(ended)["evidence"]["tasks"]}
    assert tasks["size"]["word"] == "weakened"
    assert tasks["size"]["chance"] == {"balanced_accuracy": 0.1, "accuracy": 0.2}
    assert tasks["size"]["scores"]["accuracy"]["protected"] == {"last": 0.36, "best": 0.36}


def test_what_was_asked_and_where_it_falls_short_is_told() -> None:
    short = evidence(([0.5, 0.5], [0.36, 0.36]), Requirement())
    (line,) = [line for line in evidence_lines(short) if line.startswith("short")]
    assert "task 'size'" in line
    figures = evidence_figures(short)
    assert figures["requirement"] == {
        "metric": None,
        "max_over_chance": 0.15,
        "max_share_left": None,
        "epoch": "best",
        "countermeasures": "all",
    }
    assert figures["shortfalls"] == [line.removeprefix("short").strip()]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (3_560_000, "3.6 MB"), (4.2e15, "4200.0 TB")]
)
def test_bytes_are_shown_in_the_largest_fitting_unit(count: float, text: str) -> None:
    assert size_text(count) == text


def test_a_plan_says_what_is_left_and_that_lossless_images_are_larger() -> None:
    plan = RunEstimate(
        workers=4,
        shards=10,
        shards_done=4,
        input_bytes=10**9,
        samples=5000,
        output_bytes=3 * 10**9,
        growth=5.25,
        ingest_seconds=65,
        train_seconds=None,
        victims=12,
        prove_seconds=390,
        publish_seconds=3,
        seconds=458 + 1800,
        audited=True,
        protect_core_seconds=7200,
        labels=["age: a number in years; 3 of 60 labels missing"],
        warnings=["task 'shape': 1 of its 4 classes never occur (star); check the labels"],
    )
    lines = plan_lines(plan)
    assert lines[1] == "labels      age: a number in years; 3 of 60 labels missing (first shard)"
    assert lines[2] == "to do       6 shards (4 are published)"
    assert "3.0 GB (5.2 times the input" in lines[3]
    steps = {line.split()[0]: line.replace("\N{NO-BREAK SPACE}", " ") for line in lines[4:10]}
    assert list(steps) == ["ingest", "train", "prove", "protect", "publish", "all"]
    assert "about 1 min 5 s" in steps["ingest"]
    assert "nothing: the generator is there" in steps["train"]
    assert "about 6 min 30 s (12 victims)" in steps["prove"]
    assert "2.00 core hours, 30 min 0 s on 4 cores" in steps["protect"]
    assert "37 min 38 s" in steps["all"]
    assert lines[10].startswith("check       first shard: task 'shape': 1 of its 4 classes never occur")
    explained = plan_lines(replace(plan, choice=["withstand gray: it costs this"]))
    assert explained[6] == "            withstand gray: it costs this"
    assert explained[5].startswith("train")


def test_a_verification_lists_every_problem_and_says_when_there_is_none() -> None:
    clean = Verified(shards=2, samples=9, max_delta=8, psnr_mean=35.12)
    assert verify_lines(clean)[-1] == "result      clean"
    assert "max |Δ|     8 of 255, compared with the input" in verify_lines(clean)
    wrong = verify_lines(Verified(shards=1, samples=4, problems=["shard a: gone", "shard b: changed"]))
    assert wrong[:2] == ["problem     shard a: gone", "problem     shard b: changed"]
    assert wrong[-1] == "result      2 problems"
    assert not [line for line in wrong if "max" in line]


def test_a_share_just_below_zero_is_shown_as_zero() -> None:
    assert percent(-0.001) == "0\N{NO-BREAK SPACE}%"
    assert percent(-0.001, 1) == "-0.1\N{NO-BREAK SPACE}%"


def test_what_was_not_read_is_said() -> None:
    found = result(passed_by=["3 hidden shards", "2 members"])
    assert [line for line in run_lines(found) if line.startswith("not read")] == [
        "not read    3 hidden shards",
        "not read    2 members",
    ]
    assert run_figures(found)["passed_by"] == ["3 hidden shards", "2 members"]
