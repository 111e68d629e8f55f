"""The training loop: stored and loaded it goes on bitwise, δ is computed once a batch, and divergence ends it."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from schemas.errors import GeneratorError
from schemas.plans import TrainPlan
from stages.learning.table import Batch, ImageTable
from stages.perturbers.generator.methods.base_methods import METHODS
from stages.perturbers.generator.methods.method import BaseMethod, Context
from stages.perturbers.generator.training import Training, embedding_regularisers
from tests import builders

CPU, PASSES = torch.device("cpu"), 3


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("table") / "images.arrow", 40)


@pytest.fixture(autouse=True)
def own_random_state() -> Iterator[None]:
    """A `Training` draws its initial weights from the global state; `train_generator` keeps that to itself."""
    with torch.random.fork_rng(devices=[]):
        yield


def plan(**values: Any) -> TrainPlan:
    settings = {
        "perturber": "generator",
        "method": "em",
        "width": 4,
        "generator": "tiny",
        "resolution": 16,
        "epochs": PASSES,
        "surrogate_epochs": 2,
        "batch_size": 16,
        "augment": ["crop"],
    }
    train = builders.training(settings, **values)
    return TrainPlan(train=train, tasks=builders.tasks(), protected=[True, True], epsilon=8 / 255)


def training(table: ImageTable, seen: list[str] | None = None, **values: Any) -> Training:
    def report(what: str, done: int, total: int, *losses: object) -> None:
        if seen is not None:
            seen.append(what)

    return Training(table, plan(**values), CPU, report)


# --- stored between two passes ----------------------------------------------------------------------------------------


def stored_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from a disk, in another process."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    torch.manual_seed(987)  # there the global state is another one
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.fixture(scope="module")
def unbroken(table: ImageTable) -> Callable[[str], Training]:
    """A training of each method that was never stored; tests only read it."""

    @cache
    def run(name: str) -> Training:
        with torch.random.fork_rng(devices=[]):
            running = training(table, method=name)
            running.run()
        return running

    return run


def assert_same(one: Training, other: Training) -> None:
    assert one.losses == other.losses
    expected = other.generator.state_dict()
    for key, value in one.generator.state_dict().items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_training_that_goes_on_elsewhere_gives_the_weights_of_an_unbroken_one(
    name: str, table: ImageTable, unbroken: Callable[[str], Training]
) -> None:
    first = training(table, method=name)
    first.method.prepare(first.context)
    first.run_pass()
    state = stored_and_loaded(first.state_dict())
    seen: list[str] = []
    second = training(table, seen, method=name)
    second.load_state_dict(state)
    second.run()
    assert seen == ["generator"] * (PASSES - 1), "what was done is done again"
    assert (second.epoch, second.steps) == (unbroken(name).epoch, unbroken(name).steps) == (PASSES, PASSES * 3)
    assert_same(second, unbroken(name))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_training_goes_on_from_wherever_its_state_is_stored_and_storing_changes_nothing(
    name: str, table: ImageTable, unbroken: Callable[[str], Training]
) -> None:
    states: list[dict[str, Any]] = []
    watched = training(table, method=name)
    watched.run(lambda: states.append(copy.deepcopy(watched.state_dict())))
    assert_same(watched, unbroken(name))
    passes = [state for state in states if state["epoch"] and not len(state["left"])]
    assert len(passes) == PASSES
    assert len(states) >= 3 * PASSES, "a step is no place to go on from"
    for state in (states[0], states[2], states[-3]):  # while surrogates learn, inside a pass, between two
        resumed = training(table, method=name)
        resumed.load_state_dict(stored_and_loaded(state))
        resumed.run()
        assert_same(resumed, unbroken(name))


# --- δ once a batch ---------------------------------------------------------------------------------------------------


class ThreeTerms(BaseMethod):
    """Three terms in x + δ, of which each must be used up when the next one is asked for."""

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        assert x_BCHW.grad is None
        for term in self.terms(x_BCHW):
            before = None if x_BCHW.grad is None else x_BCHW.grad.clone()
            yield term
            assert x_BCHW.grad is not None, "the next term is computed before the gradient of this one"
            assert before is None or not torch.equal(before, x_BCHW.grad)

    @staticmethod
    def terms(x_BCHW: torch.Tensor) -> Iterator[torch.Tensor]:
        yield 3 * x_BCHW[:, 0].mean()
        yield (x_BCHW[:, 1] * x_BCHW[:, 2]).mean()
        yield (x_BCHW[..., 1:] - x_BCHW[..., :-1]).square().mean()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        pass


class TheirSum(ThreeTerms):
    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        yield torch.stack(list(self.terms(x_BCHW))).sum()


def forwards(training: Training) -> list[int]:
    """Counts the forward passes of a generator, a batch size each."""
    seen: list[int] = []
    training.generator.register_forward_hook(lambda module, given, made: seen.append(len(made)))
    return seen


def gradients(training: Training) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in training.generator.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
    return found


@pytest.mark.parametrize("method", [ThreeTerms, TheirSum])
def test_delta_is_computed_once_a_batch_however_many_terms_a_method_has(
    method: type[BaseMethod], table: ImageTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "em", method)
    running = training(table, method="em")
    seen = forwards(running)
    running.run_pass()
    assert seen == [16, 16, 8]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_of_ours_sees_the_delta_of_the_loop_and_makes_none_itself(name: str, table: ImageTable) -> None:
    running = training(table, method=name)
    running.method.prepare(running.context)
    running.method.before_pass(running.context, 0)
    running.generator.train()
    seen = forwards(running)
    running.step(table.batch(np.arange(16), CPU))
    assert seen == [16]


def test_the_gradient_of_several_terms_is_that_of_their_sum_with_the_regularisers(
    table: ImageTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, norm: None)
    batch = table.batch(np.arange(16), CPU)
    found = []
    for method in (ThreeTerms, TheirSum):
        monkeypatch.setitem(METHODS, "em", method)
        running = training(table, method="em")
        running.generator.train()
        terms = running.step(batch)
        found.append((gradients(running), terms))
    monkeypatch.setitem(METHODS, "em", ThreeTerms)
    plain = training(table, method="em")
    plain.generator.train()
    base = torch.stack(list(ThreeTerms.terms(plain.context.perturbed(batch)))).sum()
    intra, inter = embedding_regularisers(plain.generator.class_maps)
    (base + 10 * intra + 200 * inter).backward()
    expected = gradients(plain)
    for made, terms in found:
        torch.testing.assert_close(terms, torch.stack([base, intra, inter]).detach())
        for name, gradient in made.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


# --- a training that diverges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["lambda_intra", "lambda_inter"])
def test_a_loss_that_is_not_finite_ends_training_and_names_its_terms_and_the_remedy(
    setting: str, table: ImageTable
) -> None:
    with pytest.raises(GeneratorError) as error:
        training(table, **{setting: 1e39}).run()
    message = error.value.message
    number = r"-?[0-9.e+-]+"
    assert re.search(rf"epoch 1 \(base {number}, intra {number}, inter {number}; total inf\)", message), message
    assert "nothing was published" in message
    assert "lower train.lambda_intra (now" in message
    assert "train.lambda_inter (now" in message
    assert f"{setting} (now 1e+39)" in message


@pytest.mark.parametrize("name", sorted(METHODS))
def test_weights_that_diverge_later_end_training_too(name: str, table: ImageTable) -> None:
    running = training(table, method=name)
    running.method.prepare(running.context)
    running.run_pass()
    with torch.no_grad():
        running.generator.decoder[-1].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(GeneratorError, match=r"epoch 2 \(base nan, .*total nan\)"):
        running.run_pass()


def test_a_training_on_a_table_of_one_sample_ends_with_finite_losses(tmp_path: Path) -> None:
    alone = training(builders.table(tmp_path / "images.arrow", 1), epochs=1)
    alone.run()
    assert alone.steps == 1
    assert all(np.isfinite(list(epoch.values())).all() for epoch in alone.losses)
