"""Victims that an audit plans: a multi-task one of each backbone, and single-task ones where they are asked for."""

from pathlib import Path
from typing import Any

from pipeline.configuration.plans import victim_plans
from schemas.plans import VictimPlan
from tests import builders


def plans(root: Path, *, tasks: list[dict[str, Any]] | None = None, **audit: Any) -> list[VictimPlan]:
    overrides = {"tasks": tasks} if tasks else {}
    config = builders.config(root, audit=audit, **overrides)
    assert config.audit is not None
    return victim_plans(config, config.audit, "clean")


def test_by_default_each_backbone_is_one_victim_of_equal_weights(tmp_path: Path) -> None:
    assert [(plan.only, plan.weighting) for plan in plans(tmp_path)] == [(None, "ls")]


def test_single_task_victims_come_beside_the_multi_task_one_and_have_nothing_to_weigh(tmp_path: Path) -> None:
    found = plans(tmp_path, stl=True, weighting="uw")
    assert [(plan.only, plan.weighting) for plan in found] == [(None, "uw"), ("a", "ls"), ("b", "ls")]
    assert {(plan.data, plan.backbone, plan.seed) for plan in found} == {("clean", "resnet18", 1)}


def test_one_task_alone_needs_no_second_victim(tmp_path: Path) -> None:
    assert len(plans(tmp_path, stl=True, tasks=[{"field": "json.a", "classes": 3}])) == 1
