"""Task weightings: each computes its formula, leaves absent tasks alone, repeats itself, and trains a model."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tasks import MISSING, Task
from schemas.training import OwnWeighting
from stages.learning.optimise import Optimisation
from stages.learning.weightings import (
    WEIGHTINGS,
    AlignedWeighting,
    FairWeighting,
    RandomWeighting,
    UncertaintyWeighting,
    Weighting,
    fair_weights,
)
from stages.networks.multitask import MultiTaskModel, accumulate_gradients, mean_loss, task_losses
from stages.tasks.kinds import kinds_of
from tests.builders import labelled_picture

CLASSES = (3, 2, 4)
KINDS = kinds_of([Task(field=f"json.{name}", classes=count) for name, count in zip("abc", CLASSES, strict=True)])
EVERY = pytest.mark.parametrize("name", list(WEIGHTINGS))
BY_GRADIENT = pytest.mark.parametrize("name", ["aligned_mtl", "fairgrad"])
SEEDS = st.integers(0, 2**16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def new_model(name: str = "ls", seed: int = 0) -> MultiTaskModel:
    weighting = WEIGHTINGS[name](len(KINDS), seeded(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultiTaskModel("resnet18", width=4, kinds=KINDS, resolution=16, weighting=weighting).train()


def new_batch(count: int = 24, *, missing: tuple[int, ...] = ()) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Pictures that show three labels; tasks in `missing` have none."""
    rng = np.random.default_rng(0)
    shown = np.stack([rng.integers(0, classes, count) for classes in CLASSES], axis=1)
    pictures = np.stack([labelled_picture(row, CLASSES, 16, rng) for row in shown])
    labels = [torch.from_numpy(column.copy()) for column in shown.T]
    labels = [torch.full_like(label, MISSING) if task in missing else label for task, label in enumerate(labels)]
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, labels


def gradients(model: MultiTaskModel) -> dict[str, torch.Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def backward_on_constants(weighting: Weighting, losses: dict[int, float]) -> torch.Tensor:
    """The gradient of each loss, as a weighting by losses gives it: loss k is the k-th feature."""
    features = torch.tensor([[losses.get(task, 0.0) for task in range(weighting.tasks)]], requires_grad=True)
    weighting.backward({task: features[0, task] for task in losses}, features)
    assert features.grad is not None
    return features.grad[0]


def gramian(jacobian: torch.Tensor) -> torch.Tensor:
    return jacobian @ jacobian.T


def well_conditioned(tasks: int, seed: int, *, smallest: float = 0.5) -> torch.Tensor:
    """K×50 float64 with singular values in `smallest`..1 and rows that may conflict."""
    rng = seeded(seed)
    rotation, _ = torch.linalg.qr(torch.randn(tasks, tasks, generator=rng, dtype=torch.float64))
    across, _ = torch.linalg.qr(torch.randn(50, tasks, generator=rng, dtype=torch.float64))
    sizes = smallest + (1 - smallest) * torch.rand(tasks, generator=rng, dtype=torch.float64)
    return rotation @ torch.diag(sizes) @ across.T


def test_every_name_of_the_configuration_has_its_weighting() -> None:
    assert tuple(WEIGHTINGS) == get_args(OwnWeighting)


@pytest.mark.parametrize("missing", [(), (1,), (0, 1, 2)])
def test_equal_weights_give_bitwise_the_gradients_of_the_mean_loss(missing: tuple[int, ...]) -> None:
    x, labels = new_batch(missing=missing)
    ours, plain = new_model("ls"), new_model("ls")
    accumulate_gradients(ours, x, labels, KINDS)
    outputs = plain(x)
    losses = [kind.loss(output, label) for kind, output, label in zip(KINDS, outputs, labels, strict=True)]
    present = [loss for loss in losses if loss is not None] or [outputs[0].sum() * 0]
    torch.stack(present).mean().backward()
    for name, expected in gradients(plain).items():
        found = gradients(ours)[name]
        assert (found is None) == (expected is None), name
        assert found is None or torch.equal(found, expected), name


@settings(max_examples=30, deadline=None)
@given(tasks=st.integers(1, 8), seed=SEEDS)
def test_random_weights_are_positive_and_sum_to_one(tasks: int, seed: int) -> None:
    weights = RandomWeighting(tasks, seeded(seed)).weights(range(tasks))
    assert bool((weights > 0).all())
    assert weights.sum().item() == pytest.approx(1)


def test_random_weights_are_one_over_k_on_average() -> None:
    weighting = RandomWeighting(4, seeded())
    mean = torch.stack([weighting.weights(range(4)) for _ in range(8000)]).mean(dim=0)
    assert mean.tolist() == pytest.approx([0.25] * 4, abs=0.01)


def test_random_weights_of_the_tasks_that_are_there_sum_to_one_and_the_draws_do_not_depend_on_labels() -> None:
    all_there, one_absent = RandomWeighting(3, seeded()), RandomWeighting(3, seeded())
    all_there.weights([0, 1, 2])
    given_weights = backward_on_constants(one_absent, {0: 1.0, 2: 5.0})
    assert given_weights.sum().item() == pytest.approx(1)
    assert given_weights[1] == 0
    assert torch.equal(all_there.weights([0, 1, 2]), one_absent.weights([0, 1, 2]))


def test_uncertainty_weights_start_as_the_sum_of_the_losses() -> None:
    weighting = UncertaintyWeighting(3, seeded())
    assert backward_on_constants(weighting, {0: 0.5, 1: 2.0, 2: 7.0}).tolist() == [1, 1, 1]
    found = [variance.grad.item() for variance in weighting.log_variances]  # d/ds (exp(-s) L + s/2) at s = 0
    assert found == pytest.approx([0.5 - 0.5, 0.5 - 2.0, 0.5 - 7.0])


def test_uncertainty_weights_settle_where_each_task_counts_for_half() -> None:
    losses = {0: 0.2, 1: 1.0, 2: 6.0}
    weighting = UncertaintyWeighting(3, seeded())
    adam = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(400):
        adam.zero_grad()
        weights = backward_on_constants(weighting, losses)
        adam.step()
    assert [weights[task].item() * loss for task, loss in losses.items()] == pytest.approx([0.5] * 3, abs=0.01)


def test_what_uncertainty_weighting_learns_is_optimised_and_stored_with_the_model() -> None:
    model, (x, labels) = new_model("uw"), new_batch()
    optimisation = Optimisation(model.parameters(), epochs=1)
    accumulate_gradients(model, x, labels, KINDS)
    optimisation.step()
    learned = [name for name in model.state_dict() if name.startswith("weighting.")]
    assert len(learned) == 3
    assert all(model.state_dict()[name] != 0 for name in learned)
    again = new_model("uw", seed=1)
    again.load_state_dict(model.state_dict())
    assert all(torch.equal(model.state_dict()[name], again.state_dict()[name]) for name in learned)


@settings(max_examples=60, deadline=None)
@given(tasks=st.integers(1, 8), seed=SEEDS)
def test_aligned_gradient_points_against_no_task_of_well_conditioned_ones(tasks: int, seed: int) -> None:
    # Holds for certain while √K · (condition - 1) / (condition + 1) ≤ 1, so for a condition of 2 up to 9 tasks.
    jacobian = well_conditioned(tasks, seed, smallest=0.5)
    combined = AlignedWeighting(tasks, seeded()).weights(gramian(jacobian)) @ jacobian
    assert bool((jacobian @ combined >= -1e-12).all())


@settings(max_examples=60, deadline=None)
@given(tasks=st.integers(1, 8), seed=SEEDS, smallest=st.floats(0.001, 1))
def test_aligned_gradient_never_points_against_the_mean(tasks: int, seed: int, smallest: float) -> None:
    jacobian = well_conditioned(tasks, seed, smallest=smallest)
    combined = AlignedWeighting(tasks, seeded()).weights(gramian(jacobian)) @ jacobian
    assert combined @ jacobian.mean(dim=0) > 0


@settings(max_examples=60, deadline=None)
@given(tasks=st.integers(1, 6), seed=SEEDS)
def test_aligned_gradient_is_the_mean_of_the_nearest_orthogonal_gradients(tasks: int, seed: int) -> None:
    jacobian = well_conditioned(tasks, seed)
    left, sizes, right = torch.linalg.svd(jacobian, full_matrices=False)
    combined = AlignedWeighting(tasks, seeded()).weights(gramian(jacobian)) @ jacobian
    torch.testing.assert_close(combined, (sizes.min() * left @ right).mean(dim=0), rtol=1e-6, atol=1e-9)


def test_aligned_gradient_of_twice_the_same_task_is_that_tasks() -> None:
    jacobian = torch.tensor([[3.0, 4.0], [3.0, 4.0]], dtype=torch.float64)
    combined = AlignedWeighting(2, seeded()).weights(gramian(jacobian)) @ jacobian
    assert combined.tolist() == pytest.approx([3.0, 4.0])


@settings(max_examples=100, deadline=None)
@given(
    tasks=st.integers(1, 8),
    seed=SEEDS,
    alpha=st.sampled_from([0.5, 1.0, 2.0]),
    size=st.integers(-8, 4),
    ratio=st.integers(0, 2),
    conflict=st.floats(0, 0.99),
)
def test_fair_weights_satisfy_their_equation_whatever_the_size_of_the_gradients(
    tasks: int, seed: int, alpha: float, size: int, ratio: int, conflict: float
) -> None:
    rng = seeded(seed)
    jacobian = torch.randn(tasks, 50, generator=rng, dtype=torch.float64)
    jacobian[-1] -= conflict * jacobian[:-1].sum(dim=0)  # the last task pulls against all others
    jacobian *= 10.0**size * torch.logspace(0, -ratio, tasks, dtype=torch.float64)[:, None]
    weights = fair_weights(gramian(jacobian), alpha)
    assert bool((weights > 0).all())
    torch.testing.assert_close(gramian(jacobian) @ weights, weights ** (-1 / alpha), rtol=1e-3, atol=0)


def test_along_the_fair_gradient_of_alpha_one_every_task_improves() -> None:
    jacobian = well_conditioned(5, 1)
    combined = FairWeighting(5, seeded()).weights(gramian(jacobian)) @ jacobian
    assert bool((jacobian @ combined > 0).all())
    assert combined.square().sum().item() == pytest.approx(5)


@pytest.mark.parametrize("rows", [[[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]])
def test_fair_weights_stay_finite_where_a_task_has_no_gradient_or_two_are_opposite(rows: list[list[float]]) -> None:
    weights = fair_weights(gramian(torch.tensor(rows, dtype=torch.float64)))
    assert bool((weights > 0).all())
    assert bool(weights.isfinite().all())


@BY_GRADIENT
def test_the_shared_part_gets_the_weighted_gradient_and_each_head_that_of_its_own_task(name: str) -> None:
    model, (x, labels) = new_model(name), new_batch()
    accumulate_gradients(model, x, labels, KINDS)
    plain = new_model(name)
    seen = plain.features_of(x)
    features = plain.common(seen)
    losses = task_losses(plain.heads_of(seen), labels, KINDS)
    rows = [torch.autograd.grad(loss, features, retain_graph=True)[0].flatten() for loss in losses.values()]
    jacobian = torch.stack(rows).double()
    combined = plain.weighting.weights(gramian(jacobian)) @ jacobian  # type: ignore[operator]
    for task, loss in losses.items():
        expected = torch.autograd.grad(loss, plain.heads[task].weight, retain_graph=True)[0]
        torch.testing.assert_close(model.heads[task].weight.grad, expected)
    features.backward(combined.to(features).view_as(features))
    found, expected = (
        torch.cat([parameter.grad.flatten() for parameter in each.backbone.parameters()]) for each in (model, plain)
    )
    assert (found - expected).norm() < 1e-3 * expected.norm()


@EVERY
def test_a_task_without_a_label_in_the_batch_is_left_as_it_was(name: str) -> None:
    model = new_model(name)
    optimisation = Optimisation(model.parameters(), epochs=1)
    own = ("heads.1.", "weighting.log_variances.1")
    for number, missing in enumerate([(), (1,)]):
        before = {key: value.clone() for key, value in model.state_dict().items()}
        optimisation.clear()
        accumulate_gradients(model, *new_batch(missing=missing), KINDS)
        optimisation.step()
        for key, value in model.state_dict().items():
            if key.startswith(own):
                assert torch.equal(value, before[key]) == (number == 1), key


@EVERY
def test_a_batch_without_any_label_moves_no_backbone(name: str) -> None:
    model = new_model(name)
    accumulate_gradients(model, *new_batch(missing=(0, 1, 2)), KINDS)
    assert all(not bool(parameter.grad.any()) for parameter in model.backbone.parameters())
    assert all(parameter.grad is None for parameter in model.weighting.parameters())


@EVERY
def test_the_same_seed_trains_the_same_model_to_a_falling_loss(name: str) -> None:
    x, labels = new_batch()
    models = [new_model(name), new_model(name)]
    falls = []
    for model in models:
        optimisation, reached = Optimisation(model.parameters(), epochs=1), []
        for _ in range(12):
            optimisation.clear()
            accumulate_gradients(model, x, labels, KINDS)
            optimisation.step()
            with torch.no_grad():
                reached.append(mean_loss(model(x), labels, KINDS).item())
        falls.append(reached)
    assert falls[0] == falls[1]
    assert falls[0][-1] < 0.5 * falls[0][0]
    one, other = (model.state_dict() for model in models)
    assert all(torch.equal(one[key], other[key]) for key in one)
