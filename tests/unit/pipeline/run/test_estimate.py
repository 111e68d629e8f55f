"""A plan: it refuses what a run would refuse, counts the audit's victims, and knows that codes have a fixed length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.run.checks import check_data
from pipeline.run.estimate import make_plan
from pipeline.run.run import check_data as check_of_run
from pipeline.run.victim_plans import expected_plans
from schemas.config import Config
from schemas.errors import ConfigError, MtlueError, QuarantineError
from schemas.plans import TrainPlan
from schemas.training import Train
from stages import estimate as measuring
from stages.perturbers import codes
from tests import builders
from tests.builders import config, labelled_samples, write_shard

CODES = {
    "perturber": "codes", "rounds": 1, "resolution": 16, "batch_size": 8, "augment": ["crop"], "max_samples": 20,
}  # fmt: skip


def prepared(root: Path, **changes: Any) -> Config:
    for split, count in (("train-0", 60), ("train-1", 60), ("test-0", 12)):
        write_shard(root / f"raw/{split}.tar", labelled_samples(count))
    made = config(root, **changes)
    return made.model_copy(update={"train": Train.model_validate(CODES)})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tasks": [{"field": "json.c", "classes": 3}]}, ConfigError, "no sample has a field 'json.c'"),
        (
            {"tasks": [{"field": "json.a", "classes": 2}], "protect": {"max_quarantined": 0.0}},
            QuarantineError,
            "samples would be left out",
        ),
    ],
)
def test_what_a_run_would_refuse_is_refused_with_its_error(
    changes: dict[str, Any], error: type[MtlueError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        make_plan(prepared(tmp_path, **changes))
    assert not (tmp_path / "public").exists()
    assert not (tmp_path / "private").exists()


def test_a_run_and_a_plan_call_the_same_checks() -> None:
    assert check_of_run is check_data


def test_held_out_shards_without_a_label_are_refused(tmp_path: Path) -> None:
    made = prepared(tmp_path, audit={})
    samples = [(key, [members[0], ("json", json.dumps({"a": 1}).encode())]) for key, members in labelled_samples(12)]
    write_shard(tmp_path / "raw/test-0.tar", samples)
    with pytest.raises(MtlueError, match="'b'"):
        make_plan(made)


def test_every_step_is_named_and_the_victims_are_those_of_the_audit(tmp_path: Path) -> None:
    made = prepared(tmp_path, audit={"countermeasures": ["gray", "mixup"]})
    plan = make_plan(made)
    assert made.audit is not None
    assert plan.samples == pytest.approx(120, abs=2)
    assert plan.victims == len(expected_plans(made, made.audit)) == 3 + 2 * 2
    assert plan.train_seconds is not None
    assert plan.prove_seconds is not None
    assert min(plan.ingest_seconds, plan.train_seconds, plan.prove_seconds, plan.protect_core_seconds) > 0
    assert plan.seconds > plan.train_seconds + plan.prove_seconds


def test_class_codes_take_as_long_for_any_number_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "_step_seconds", lambda step: 1.0)
    table = builders.table(tmp_path / "images.arrow", 16)
    plan = TrainPlan(
        train=Train.model_validate({**CODES, "rounds": 6}), tasks=builders.tasks(), protected=[True, True], epsilon=0.03
    )
    few, many = (measuring.train_seconds(table, plan, samples, torch.device("cpu")) for samples in (256, 40_000))
    assert few == many == 6 * (40 + 48)
