"""The last lines of a command say what its JSON says, in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.commands.plan import plan_lines
from pipeline.commands.run import run_figures, run_lines
from pipeline.commands.verify import verify_lines
from pipeline.driver.plan import Plan
from pipeline.driver.run import RunResult, exit_code
from pipeline.driver.verify import Verified
from schemas.records import (
    AuditRecord,
    Manifest,
    ManifestShard,
    Quarantined,
    ShardFailure,
    ShardRecord,
    VictimResult,
)
from schemas.stats import Moments
from stages.report.wording import size_text


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


def victim(data: str, last: float, best: float) -> VictimResult:
    accuracy = [{"a": best, "b": best}, {"a": last + 0.1, "b": last - 0.1}]
    return VictimResult(
        data=data, backbone="resnet18", seed=1, samples=9, accuracy=accuracy, balanced=accuracy, seconds=1
    )


def result(**fields: Any) -> RunResult:
    records = [record("a.tar", 31.0, 35.0), record("b.tar", 39.0, max_delta=7)]
    shards = [ManifestShard(name=each.name, bytes=each.bytes, sha256="", samples=each.samples) for each in records]
    values: dict[str, Any] = {
        "manifest": Manifest(name="x", samples=3, bytes=3_000_000, shards=shards),
        "records": records,
        "failures": [],
        "quarantined": [],
        "audit": None,
        "report": "s3://b/private/report.html",
        "done_before": 0,
        "seconds": {"ingest": 1.0, "train": 61.0},
    }
    return RunResult(**(values | fields))


def test_figures_are_those_of_all_samples_and_survive_json() -> None:
    figures = json.loads(json.dumps(run_figures(result())))
    assert (figures["shards"], figures["samples"], figures["bytes"]) == (2, 3, 3_000_000)
    assert (figures["max_delta"], figures["psnr_mean_db"], figures["psnr_min_db"]) == (8, 35.0, 31.0)
    assert "audit" not in figures


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


def test_an_audit_shows_each_victim_beside_chance_with_its_best_epoch() -> None:
    audit = AuditRecord(
        fingerprint="f",
        chance={"a": 0.25, "b": 0.75},
        majority={"a": 0.5, "b": 0.7},
        test_samples=40,
        victims=[victim("clean", 0.9, 0.95), victim("protected", 0.3, 0.45)],
    )
    ended = result(audit=audit)
    text = "\n".join(run_lines(ended))
    assert "40 held-out clean images (chance 50.0%, majority class 60.0%)" in text
    assert "trained on clean" in text
    assert "30.0%   best epoch 45.0%" in text
    assert [each["accuracy"] for each in run_figures(ended)["audit"]["victims"]] == [0.9, 0.3]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (3_560_000, "3.6 MB"), (4.2e15, "4200.0 TB")]
)
def test_bytes_are_shown_in_the_largest_fitting_unit(count: float, text: str) -> None:
    assert size_text(count) == text


def test_a_plan_says_what_is_left_and_that_lossless_images_are_larger() -> None:
    plan = Plan(
        shards=10,
        shards_done=4,
        input_bytes=10**9,
        samples=5000,
        output_bytes=3 * 10**9,
        growth=5.25,
        train_seconds=0.0,
        protect_core_seconds=7200,
    )
    lines = plan_lines(plan, 4)
    assert lines[1] == "to do       6 shards (4 are published)"
    assert "3.0 GB (5.2 times the input" in lines[2]
    assert "nothing: the generator is there" in lines[3]
    assert "2.00 core hours" in lines[4]
    assert "30 min 0 s on 4 cores" in lines[4].replace("\N{NO-BREAK SPACE}", " ")


def test_a_verification_lists_every_problem_and_says_when_there_is_none() -> None:
    clean = Verified(shards=2, samples=9, max_delta=8, psnr_mean=35.12)
    assert verify_lines(clean)[-1] == "result      clean"
    assert "max |Δ|     8 of 255, compared with the input" in verify_lines(clean)
    wrong = verify_lines(Verified(shards=1, samples=4, problems=["shard a: gone", "shard b: changed"]))
    assert wrong[:2] == ["problem     shard a: gone", "problem     shard b: changed"]
    assert wrong[-1] == "result      2 problems"
    assert not [line for line in wrong if "max" in line]
