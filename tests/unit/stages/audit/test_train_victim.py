"""Victims: they learn what can be learned and nothing else, and measure it on the clean data alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from stages.audit.train_victim import predict, train_victim
from stages.learning.table import ImageTable
from stages.networks.multitask import MultiTaskModel
from tests import builders

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def test_table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("test") / "test.arrow", 90, seed=77)


def victim(train: ImageTable, test: ImageTable, *, seed: int = 0, **values: Any) -> VictimResult:
    settings = {"width": 8, "epochs": 8, "batch_size": 16, "augment": ["crop"], "backbone": "resnet18", **values}
    plan = VictimPlan.model_validate({"tasks": builders.tasks(), "data": "clean", "seed": seed, **settings})
    return train_victim(train, test, plan, CPU)


def curve(result: VictimResult, task: str, metric: str = "balanced_accuracy") -> list[float]:
    return [epoch[task][metric] for epoch in result.figures]


def test_a_victim_learns_an_easy_task_far_above_chance(tmp_path: Path, test_table: ImageTable) -> None:
    train = builders.table(tmp_path / "train.arrow", 128)
    result = victim(train, test_table)
    assert len(result.figures) == 8
    assert (result.samples, result.test_samples) == (128, 90)
    assert (result.data, result.backbone, result.seed) == ("clean", "resnet18", 0)
    assert {task: set(metrics) for task, metrics in result.figures[-1].items()} == {
        task: {"accuracy", "balanced_accuracy"} for task in "ab"
    }
    assert curve(result, "a", "accuracy")[-1] > 0.75
    assert curve(result, "a")[-1] > 0.75


def test_chance_is_what_the_test_labels_give_a_model_that_sees_nothing(tmp_path: Path, test_table: ImageTable) -> None:
    result = victim(builders.table(tmp_path / "train.arrow", 20), test_table, epochs=1)
    first, second = (np.bincount(labels) for labels in test_table.labels)
    assert result.chance == {
        "a": {"balanced_accuracy": 1 / 3, "accuracy": first.max() / 90},
        "b": {"balanced_accuracy": 1 / 2, "accuracy": second.max() / 90},
    }


def test_a_victim_of_shuffled_labels_stays_at_chance(tmp_path: Path, test_table: ImageTable) -> None:
    rng = np.random.default_rng(5)
    shuffled = np.stack([rng.integers(0, 3, 128), rng.integers(0, 2, 128)], axis=1)
    result = victim(builders.table(tmp_path / "train.arrow", 128, labels=shuffled), test_table)
    assert curve(result, "a")[-1] < 1 / 3 + 0.2
    assert curve(result, "b")[-1] < 1 / 2 + 0.2


def test_the_same_seed_gives_the_same_victim_and_the_global_random_state_is_left_alone(
    tmp_path: Path, test_table: ImageTable
) -> None:
    train = builders.table(tmp_path / "train.arrow", 48)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = victim(train, test_table, epochs=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = victim(train, test_table, epochs=2)
    assert one.figures == again.figures


def test_predicting_does_not_change_the_model(test_table: ImageTable) -> None:
    model = MultiTaskModel("resnet18", width=4, kinds=builders.kinds(), resolution=16).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    predicted = predict(model, builders.kinds(), test_table, 32, CPU)
    assert [part.shape for part in predicted] == [(90,), (90,)]
    assert all(part.min() >= 0 and part.max() < count for part, count in zip(predicted, (3, 2), strict=True))
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    # The size of a batch decides nothing: batch norm uses what it learned.
    again = predict(model, builders.kinds(), test_table, 7, CPU)
    assert np.mean(np.stack(again) == np.stack(predicted)) > 0.97
