"""The training that follows from what is protected and against what, where a configuration names none."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.config import Config
from schemas.protection import MANY_YES_OR_NO
from schemas.training import Train

PLACES = {"dataset": {"shards": "raw/*.tar"}, "output": "out"}


def configuration(yes_or_no: int = 8, withstand: tuple[str, ...] = (), **train: Any) -> Config:
    tasks = [{"kind": "binary", "field": f"json.a{number}"} for number in range(yes_or_no)]
    return Config.model_validate(
        {**PLACES, "tasks": tasks, "protection": {"withstand": list(withstand)}, "train": train}
    )


def test_without_a_wish_few_tasks_have_class_codes_and_nothing_is_explained() -> None:
    for given in (configuration(), configuration(MANY_YES_OR_NO - 1)):
        assert given.train.perturber == "codes"
        assert given.choice == []
    same = Config.model_validate({**PLACES, "tasks": [{"field": "json.c", "classes": 50}] * 1})
    assert same.train == Train()


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


def test_many_yes_or_no_tasks_have_the_stronger_perturber_unless_another_is_named() -> None:
    made = configuration(MANY_YES_OR_NO)
    assert (made.train.perturber, made.train.method) == ("generator", "tap")
    assert "is the default from" in made.choice[0]
    assert configuration(MANY_YES_OR_NO, perturber="codes").train.perturber == "codes"
    assert configuration(MANY_YES_OR_NO, rounds=6).train.perturber == "codes"
    partial = made.model_dump(include={"dataset", "output"}) | {
        "tasks": [{"kind": "binary", "field": f"json.a{number}"} for number in range(MANY_YES_OR_NO)],
        "protection": {"tasks": ["a0", "a1"]},
    }
    assert Config.model_validate(partial).train.perturber == "codes"
