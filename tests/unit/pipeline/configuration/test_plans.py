"""Victims that an audit plans: a multi-task one of each backbone, and single-task ones where they are asked for."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.configuration.plans import victim_plans, victims_of
from schemas.plans import VictimPlan
from tests import builders


def plans(
    root: Path, data: str = "clean", *, tasks: list[dict[str, Any]] | None = None, train: Any = None, **audit: Any
) -> list[VictimPlan]:
    overrides = {name: value for name, value in (("tasks", tasks), ("train", train)) if value}
    config = builders.config(root, audit=audit, **overrides)
    assert config.audit is not None
    return victim_plans(config, config.audit, data)


def test_by_default_each_backbone_is_one_victim_of_equal_weights(tmp_path: Path) -> None:
    assert [(plan.only, plan.weighting) for plan in plans(tmp_path)] == [(None, "ls")]


def test_single_task_victims_come_beside_the_multi_task_one_and_have_nothing_to_weigh(tmp_path: Path) -> None:
    found = plans(tmp_path, stl=True, weighting="uw")
    assert [(plan.only, plan.weighting) for plan in found] == [(None, "uw"), ("a", "ls"), ("b", "ls")]
    assert {(plan.data, plan.backbone, plan.seed) for plan in found} == {("clean", "resnet18", 1)}


def test_one_task_alone_needs_no_second_victim(tmp_path: Path) -> None:
    assert len(plans(tmp_path, stl=True, tasks=[{"field": "json.a", "classes": 3}])) == 1


def test_victims_train_at_every_learning_rate_on_every_version_of_the_data(tmp_path: Path) -> None:
    rates = [2e-3, 5e-4]
    for data in ("clean", "noise", "protected"):
        assert [plan.learning_rate for plan in plans(tmp_path, data, learning_rates=rates)] == rates


def test_each_victim_is_trained_from_every_seed_and_the_first_one_is_what_it_was_without(tmp_path: Path) -> None:
    one, three = plans(tmp_path), plans(tmp_path, seeds=3)
    assert three[0].fingerprint == one[0].fingerprint
    assert [plan.seed for plan in three] == [1, 2, 3]
    assert len({plan.fingerprint for plan in three}) == 3


@pytest.mark.parametrize("surrogates", [["resnet18"], ["stride5", "vgg16"], ["plain", "densenet121", "resnet18"]])
def test_default_victims_are_three_that_no_surrogate_is_like_and_one_that_is(
    surrogates: list[str], tmp_path: Path
) -> None:
    config = builders.config(tmp_path, audit={"victims": "auto"}, train={"backbones": surrogates})
    assert config.audit is not None
    victims = victims_of(config, config.audit)
    assert len(set(victims)) == 4
    assert not set(victims[:3]) & set(surrogates)
    assert victims[3] in surrogates


def test_default_victims_of_tasks_with_a_value_per_pixel_have_fine_maps(tmp_path: Path) -> None:
    tasks = [{"name": "depth", "kind": "depth", "field": "depth.png", "high": 10}]
    config = builders.config(tmp_path, audit={"victims": "auto"}, tasks=tasks)
    assert config.audit is not None
    assert victims_of(config, config.audit)[:2] == ["unet", "dilated_resnet50"]
