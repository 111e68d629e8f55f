"""The training that follows from what is protected and against what, where a configuration names none."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.config import Config
from schemas.training import Train

PLACES = {"dataset": {"shards": "raw/*.tar"}, "output": "out"}


def configuration(
    yes_or_no: int = 8, withstand: tuple[str, ...] | None = None, others: int = 0, **train: Any
) -> Config:
    tasks = [{"kind": "binary", "field": f"json.a{number}"} for number in range(yes_or_no)]
    tasks += [{"kind": "classification", "field": f"json.c{number}", "classes": 50} for number in range(others)]
    protection = {} if withstand is None else {"withstand": list(withstand)}
    return Config.model_validate({**PLACES, "tasks": tasks, "protection": protection, "train": train})


@pytest.mark.parametrize("count", [1, 8, 40])
def test_the_default_of_yes_or_no_tasks_is_the_setting_that_withstands_gray_and_half_the_size(count: int) -> None:
    made = configuration(count)
    assert made.train == configuration(count, ("gray", "half_size")).train
    why, *prices = made.choice
    assert "protection.withstand: [] takes class codes instead" in why
    assert [price.split(":")[0] for price in prices] == ["withstand gray", "withstand half_size"]


def test_the_default_of_other_tasks_is_class_codes_and_nothing_is_explained() -> None:
    assert configuration(0, others=1).train == Train()
    for made in (configuration(0, others=1), configuration(2, others=2), configuration(8, ())):
        assert (made.train.perturber, made.choice) == ("codes", [])
    two_classes = [{"field": "json.a", "classes": 2}]
    assert Config.model_validate({**PLACES, "tasks": two_classes}).train == configuration(1).train


@pytest.mark.parametrize(
    "train",
    [{"perturber": "codes"}, {"rounds": 6}, {"perturber": "generator", "method": "tap"}, {"robust": ["jpeg"]}],
)
def test_a_training_that_is_named_or_excludes_the_default_is_left_as_it_is(train: dict[str, Any]) -> None:
    made = configuration(4, **train)
    assert (made.train, made.choice) == (Train.model_validate(train), [])


def test_lengths_and_sizes_of_the_default_training_are_taken() -> None:
    made = configuration(8, epochs=2, resolution=32, cell=2, robust=["gray", "jpeg"])
    assert (made.train.epochs, made.train.cell, made.train.robust) == (2, 2, ["gray", "jpeg"])
    assert len(made.choice) == 3


def test_what_withstands_gray_is_seen_by_surrogates_in_gray_and_equal_in_all_channels() -> None:
    made = configuration(withstand=("gray",), width=8, epochs=3)
    train = made.train
    assert (train.perturber, train.method, train.achromatic, train.robust) == ("generator", "tap", True, ["gray"])
    assert (train.width, train.epochs) == (8, 3)
    (price,) = made.choice
    assert price.startswith("withstand gray")


def test_what_withstands_half_the_size_is_seen_by_surrogates_at_that_size_too() -> None:
    train = configuration(withstand=("gray", "half_size")).train
    assert (train.achromatic, train.robust, train.surrogate_sizes) == (True, ["gray"], [1.0, 0.5])


@pytest.mark.parametrize(
    ("train", "key"),
    [
        ({"perturber": "codes"}, "perturber"),
        ({"method": "em"}, "method"),
        ({"achromatic": False}, "achromatic"),
        ({"robust": ["jpeg"]}, "robust"),
    ],
)
def test_a_key_that_excludes_what_is_to_be_withstood_is_refused(train: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=rf"withstand \(gray\) needs {key} .* take train\.{key} out"):
        configuration(8, ("gray",), **train)
    assert configuration(8, ("gray",), robust=["jpeg", "gray"]).train.robust == ["jpeg", "gray"]


def test_only_the_tasks_that_are_to_be_protected_choose() -> None:
    made = configuration(8, others=1).model_dump(include={"dataset", "output", "tasks"})
    assert Config.model_validate(made | {"protection": {"tasks": ["c0"]}}).train.perturber == "codes"
    assert Config.model_validate(made | {"protection": {"tasks": ["a0", "c0", "a1"]}}).train.method == "tap"
