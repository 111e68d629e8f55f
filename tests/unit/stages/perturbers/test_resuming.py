"""A training that is killed goes on from its stored state, with the weights of one that nobody broke."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from schemas.plans import TrainPlan
from schemas.training import Train
from stages.learning.table import ImageTable
from stages.perturbers.registry import PERTURBERS
from stages.perturbers.training import Trained, TrainingState, packed
from tests import builders

CPU = torch.device("cpu")
SETTINGS = {
    "codes": {"rounds": 3},
    "generator": {"epochs": 3, "width": 4, "generator": "tiny"},
    "pil": {"surrogate_epochs": 3},
    "em-sample": {"epochs": 3, "width": 4},
    "tap-sample": {"surrogate_epochs": 3, "width": 4},
    "sep-sample": {"surrogate_epochs": 3, "width": 4},
}
KILLED = [("codes", 1), ("codes", 2), ("generator", 4), ("generator", 6)]
KILLED += [(name, times) for name in ("pil", "em-sample", "tap-sample", "sep-sample") for times in (1, 2)]


class KilledError(Exception):
    """The worker ends here."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("table") / "images.arrow", 24)


def plan(perturber: str) -> TrainPlan:
    train = {"perturber": perturber, "resolution": 16, "batch_size": 8, "augment": ["crop"], **SETTINGS[perturber]}
    return TrainPlan(train=Train.model_validate(train), tasks=builders.tasks(), protected=[True, True], epsilon=8 / 255)


@pytest.fixture(scope="module")
def unbroken(table: ImageTable) -> Callable[[str], Trained]:
    """A training of each perturber that nobody broke; tests only read it."""
    return cache(lambda name: PERTURBERS[name].train(table, plan(name), CPU))


@pytest.mark.parametrize(("perturber", "killed"), KILLED)
def test_a_killed_training_goes_on_with_the_weights_of_an_unbroken_one(
    perturber: str, killed: int, table: ImageTable, unbroken: Callable[[str], Trained]
) -> None:
    train, given = PERTURBERS[perturber].train, plan(perturber)
    stored: list[bytes] = []

    def write(data: bytes) -> None:
        stored.append(data)
        if len(stored) == killed:  # others are stored after each pass, a generator after each of three steps a pass
            raise KilledError

    kept = TrainingState(read=lambda: stored[-1] if stored else None, write=write, every=0.0)
    with pytest.raises(KilledError):
        train(table, given, CPU, kept=kept)
    seen: list[int] = []
    found = train(table, given, CPU, lambda what, done, total, *losses: seen.append(done), kept)
    assert seen[-1] == 3
    assert len(seen) < 3, "what was done is done again"
    whole = unbroken(perturber)
    assert (found.steps, found.losses) == (whole.steps, whole.losses)
    expected = whole.generator.state_dict()
    for name, value in found.generator.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    older = packed({"epoch": 3})
    for data in (b"", b"no state", packed({"a": torch.ones(3)})[:-2], older):
        assert TrainingState(read=lambda data=data: data).load() is None
