"""The one registry of perturbers: every row can be used, and rows, settings and names of the configuration agree."""

from __future__ import annotations

import pytest

from schemas.perturbers import SETTINGS
from schemas.plans import TrainPlan
from schemas.training import Train
from stages.perturbers.codes import train_codes, training_seconds
from stages.perturbers.generator.methods.base_methods import METHODS
from stages.perturbers.registry import PERTURBERS, network_of, passes_of
from stages.perturbers.training import Phase
from tests import builders

TRAININGS = [
    *(Train.model_validate({"perturber": name}) for name in PERTURBERS if name != "generator"),
    *(Train.model_validate({"perturber": "generator", "method": name}) for name in METHODS),
]


def test_every_perturber_has_a_row_and_settings() -> None:
    assert PERTURBERS.keys() == SETTINGS.keys()
    assert METHODS.keys() == SETTINGS["generator"].methods.keys()


@pytest.mark.parametrize("train", TRAININGS, ids=lambda train: f"{train.perturber}-{train.method}")
def test_a_row_names_functions_that_exist_and_settings_that_have_a_part(train: Train) -> None:
    row, settings = PERTURBERS[train.perturber], SETTINGS[train.perturber]
    assert callable(row.train)
    assert row.wording(train)
    own = {*settings.keys, *settings.methods.get(train.method, ())}
    assert passes_of(train).keys() <= own, "a phase whose length nobody can set"


def test_a_network_is_built_from_its_specification() -> None:
    train = Train(perturber="floor", resolution=16)
    spec = TrainPlan(train=train, tasks=builders.tasks(), protected=[True, True], epsilon=8 / 255).spec
    assert network_of(spec).spec == spec


def test_the_row_of_codes() -> None:
    row, train = PERTURBERS["codes"], Train(rounds=5)
    assert (row.train, row.whole_training) == (train_codes, training_seconds)
    assert row.phases(train) == (Phase("codes", "rounds"),)
    assert passes_of(train) == {"rounds": 5}
    assert not row.sees_images
    assert PERTURBERS["pil"].whole_training is None
