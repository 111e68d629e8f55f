"""A setting of a training that decides nothing is refused: every key, for every perturber and every base method."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from schemas.perturbers import SETTINGS, MethodName, OwnPerturber, has_part
from schemas.plans import TrainPlan
from schemas.protection import ROUNDS_OF_MANY
from schemas.training import Train
from tests import builders

PERTURBERS = [name for name in SETTINGS if name != "generator"]
TRAININGS: list[dict[str, Any]] = [
    *({"perturber": name} for name in PERTURBERS),
    *({"perturber": "generator", "method": name} for name in SETTINGS["generator"].methods),
]
OTHER: dict[str, Any] = {
    "rounds": 5,
    "targeted": False,
    "backbones": ["vgg16", "resnet18"],
    "width": 8,
    "weights": {"resnet18": "file.safetensors"},
    "generator": "tiny",
    "resolution": 32,
    "epochs": 5,
    "batch_size": 16,
    "surrogate_epochs": 5,
    "weighting": "uw",
    "augment": ["crop"],
    "robust": ["gray"],
    "achromatic": True,
    "surrogate_sizes": [1.0, 0.5],
    "cell": 2,
    "lambda_intra": 1.0,
    "lambda_inter": 1.0,
    "max_samples": 7,
    "seed": 3,
}
"""Another value than the default, of every key but the two that choose what is trained."""


def fingerprint(train: Train) -> str:
    return TrainPlan(train=train, tasks=builders.tasks(), protected=[True, True], epsilon=8 / 255).fingerprint


def names(training: dict[str, Any]) -> str:
    return "-".join(training.values())


def test_every_name_has_a_row() -> None:
    assert sorted(SETTINGS) == sorted(get_args(OwnPerturber))
    assert sorted(SETTINGS["generator"].methods) == sorted(get_args(MethodName))


def test_every_key_has_another_value_here() -> None:
    assert OTHER.keys() | {"perturber", "method"} == Train.model_fields.keys()


@pytest.mark.parametrize("training", TRAININGS, ids=names)
@pytest.mark.parametrize("key", OTHER)
def test_a_key_is_refused_or_decides_something(key: str, training: dict[str, Any]) -> None:
    try:
        changed = Train.model_validate({**training, key: OTHER[key]})
    except ValidationError as error:
        assert not has_part(key, training["perturber"], training.get("method", ""))
        (message,) = (found["msg"] for found in error.errors())
        assert f"has no part in perturber {training['perturber']}" in message
        assert "it belongs to: " in message
        assert error.errors()[0]["loc"] == (key,)
    else:
        assert fingerprint(changed) != fingerprint(Train.model_validate(training))


@pytest.mark.parametrize(("key", "training"), list(product(OTHER, TRAININGS)), ids=str)
def test_a_default_that_is_written_out_is_refused_as_any_value_is(key: str, training: dict[str, Any]) -> None:
    written = {**training, key: Train().model_dump()[key]}
    if has_part(key, training["perturber"], training.get("method", "")):
        assert fingerprint(Train.model_validate(written)) == fingerprint(Train.model_validate(training))
    else:
        with pytest.raises(ValidationError, match="has no part"):
            Train.model_validate(written)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            {"epochs": 5},
            "has no part in perturber codes; set train.rounds instead; it belongs to: generator, em-",
        ),
        ({"method": "em"}, "has no part in perturber codes; leave it out; it belongs to: generator"),
        (
            {"perturber": "generator", "method": "pil", "width": 8},
            "has no part in perturber generator with method pil; leave it out; it belongs to: generator with method ",
        ),
        (
            {"perturber": "generator", "method": "tap", "rounds": 2},
            "has no part in perturber generator; set train.epochs instead; it belongs to: codes",
        ),
        ({"perturber": "pil", "epochs": 5}, "has no part in perturber pil; set train.surrogate_epochs instead"),
        ({"perturber": "floor", "batch_size": 8}, "has no part in perturber floor; leave it out"),
    ],
)
def test_the_refusal_names_the_perturber_the_right_key_and_what_has_this_one(
    training: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as error:
        Train.model_validate(training)
    assert message in error.value.errors()[0]["msg"]


def test_a_wrong_perturber_or_method_is_the_only_problem_that_is_named() -> None:
    for values in ({"perturber": "code", "epochs": 5}, {"perturber": "generator", "method": "emm", "width": 8}):
        with pytest.raises(ValidationError) as error:
            Train.model_validate(values)
        assert len(error.value.errors()) == 1


def test_rounds_that_nobody_gave_are_not_as_if_they_had_been_given(tmp_path: Any) -> None:
    many = [{"field": f"json.{name}", "classes": 3} for name in "abcdefgh"]
    made = builders.config(tmp_path, tasks=many).train
    assert made.rounds == ROUNDS_OF_MANY
    assert "rounds" not in made.model_fields_set
