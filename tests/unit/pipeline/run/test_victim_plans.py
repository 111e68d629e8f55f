"""Which victims an audit trains, and in which order."""

from __future__ import annotations

from pathlib import Path

from pipeline.configuration.plans import victim_plans
from pipeline.run.victim_plans import attack_plans, plain_plans
from schemas.evidence import VictimResult
from tests import builders
from tests.evidence import make_victim


def test_each_victim_comes_on_protected_and_on_clean_data_one_after_the_other_noise_last_and_backwards_and_seed_by_seed(
    tmp_path: Path,
) -> None:
    rates = [1e-3, 3e-3]
    config = builders.config(tmp_path, audit={"seeds": 2, "victims": ["plain", "resnet18"], "learning_rates": rates})
    assert config.audit is not None
    plans = plain_plans(config, config.audit)
    kinds = [(backbone, rate) for backbone in ("plain", "resnet18") for rate in rates]
    pairs = [(data, *kind) for kind in kinds for data in ("protected", "clean")]
    noise = [("noise", *kind) for kind in reversed(kinds)]
    assert [(plan.data, plan.backbone, plan.learning_rate, plan.seed) for plan in plans] == [
        (*each, seed) for seed in (1, 2) for each in (*pairs, *noise)
    ]


def test_countermeasures_are_tried_by_a_victim_that_learns_from_clean_images_at_its_learning_rate(
    tmp_path: Path,
) -> None:
    rates = [1e-3, 3e-3]
    config = builders.config(
        tmp_path, audit={"victims": ["plain"], "learning_rates": rates, "countermeasures": ["gray"]}
    )
    assert config.audit is not None

    def result(data: str, rate: float, figure: float) -> VictimResult:
        figures = {name: {"balanced_accuracy": figure, "accuracy": figure} for name in "ab"}
        chance = {name: {"balanced_accuracy": 0.3, "accuracy": 0.3} for name in "ab"}
        made = make_victim(data, [0.5], [0.1])
        return made.model_copy(update={"figures": [figures], "chance": chance, "learning_rate": rate})

    reached = {("clean", 1e-3): 0.35, ("clean", 3e-3): 0.9, ("protected", 1e-3): 0.34, ("protected", 3e-3): 0.33}
    plans = [plan for data in ("clean", "protected") for plan in victim_plans(config, config.audit, data)]
    found = [(plan, result(*(at := (plan.data, plan.learning_rate)), reached[at])) for plan in plans]
    assert {plan.learning_rate for plan in attack_plans(config, config.audit, found)} == {3e-3}


def test_a_countermeasure_is_tried_from_every_seed_each_one_once_before_any_again(tmp_path: Path) -> None:
    config = builders.config(tmp_path, audit={"seeds": 2, "countermeasures": ["gray", "jpeg10"]})
    assert config.audit is not None
    figures = {name: {"balanced_accuracy": 0.9, "accuracy": 0.9} for name in "ab"}
    result = make_victim("protected", [0.5], [0.1]).model_copy(update={"figures": [figures], "chance": figures})
    found = [(plan, result) for plan in victim_plans(config, config.audit, "protected")]
    attacks = attack_plans(config, config.audit, found)
    assert [(plan.countermeasure, plan.data, plan.seed) for plan in attacks] == [
        (name, data, seed) for data in ("protected", "clean") for seed in (1, 2) for name in ("gray", "jpeg10")
    ]


def test_what_does_nothing_to_tasks_of_whole_masks_is_not_tried_on_them(tmp_path: Path) -> None:
    masks = [{"name": name, "kind": "segmentation", "field": f"{name}.png", "classes": 3} for name in "ab"]
    config = builders.config(tmp_path, tasks=masks, audit={"countermeasures": ["class_means", "gray", "projection"]})
    assert config.audit is not None
    figures = {name: {"mean_iou": 0.9, "pixel_accuracy": 0.9} for name in "ab"}
    result = make_victim("protected", [0.5], [0.1]).model_copy(update={"figures": [figures], "chance": figures})
    found = [(plan, result) for plan in victim_plans(config, config.audit, "protected")]
    assert {plan.countermeasure for plan in attack_plans(config, config.audit, found)} == {"gray"}


def test_only_the_averaged_pair_has_a_second_generator_of_another_seed(tmp_path: Path) -> None:
    config = builders.config(tmp_path, audit={"countermeasures": ["gray", "averaged_pair"]})
    assert config.audit is not None
    figures = {name: {"balanced_accuracy": 0.9, "accuracy": 0.9} for name in "ab"}
    result = make_victim("protected", [0.5], [0.1]).model_copy(update={"figures": [figures], "chance": figures})
    found = [(plan, result) for plan in victim_plans(config, config.audit, "protected")]
    second = {plan.countermeasure: plan.second for plan in attack_plans(config, config.audit, found)}
    assert second["gray"] is None
    assert second["averaged_pair"] is not None
    assert second["averaged_pair"].train.seed != config.train.seed
