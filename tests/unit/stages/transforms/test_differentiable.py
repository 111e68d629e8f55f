"""Differentiable transformations: what the real ones do, with a gradient; δ is trained through them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from schemas.plans import TrainPlan
from schemas.training import Distorting, Train
from stages.learning.table import ImageTable
from stages.perturbers.registry import PERTURBERS
from stages.transforms.differentiable import DISTORTIONS, compressed, distorted
from tests import builders

CPU = torch.device("cpu")


def batch(side: int = 24) -> torch.Tensor:
    """Two smooth pictures, 2×3×`side`×20, in [0, 1]."""
    pictures = np.stack([builders.picture(seed, side, 20) for seed in (0, 1)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("name", DISTORTIONS)
def test_each_one_changes_the_images_keeps_their_size_and_lets_gradients_reach_every_image(name: Distorting) -> None:
    x_BCHW = batch().requires_grad_()
    changed = DISTORTIONS[name](x_BCHW, torch.Generator().manual_seed(0))
    assert changed.shape == x_BCHW.shape
    assert 0.001 < float((changed - x_BCHW).detach().abs().mean()) < 0.3
    target = torch.rand(changed.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(((changed - target) ** 2).sum(), x_BCHW)
    assert bool(gradient.isfinite().all())
    assert float((gradient != 0).float().mean()) > 0.9


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_step_down_the_gradient_lowers_a_loss_on_what_comes_out(name: Distorting) -> None:
    x_BCHW, target = batch().requires_grad_(), batch().flip(0)

    def loss(images: torch.Tensor) -> torch.Tensor:
        return ((DISTORTIONS[name](images, torch.Generator().manual_seed(0)) - target) ** 2).sum()

    before = loss(x_BCHW)
    (gradient,) = torch.autograd.grad(before, x_BCHW)
    assert float(loss(x_BCHW.detach() - 0.1 * gradient)) < 0.9 * float(before.detach())


@pytest.mark.parametrize("name", ["jpeg", "blur", "resize", "band"])
def test_its_strength_is_drawn_from_the_generator_that_is_given(name: Distorting) -> None:
    one, same, other = (DISTORTIONS[name](batch(), torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_the_differentiable_jpeg_is_near_to_the_real_one(quality: int) -> None:
    pixels, file = builders.picture(3, 40, 24), io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as decoded:
        real = np.asarray(decoded).astype(np.float32)
    ours = compressed(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, quality)[0]
    away = np.abs(255 * ours.permute(1, 2, 0).numpy() - real).mean()
    assert away < 0.2 * np.abs(pixels - real).mean() + 1


def test_without_a_name_nothing_is_drawn_and_with_names_each_is_met_and_so_are_the_images_as_they_are() -> None:
    rng, x_BCHW = torch.Generator().manual_seed(0), batch()
    before = rng.get_state()
    assert distorted(x_BCHW, [], rng) is x_BCHW
    assert torch.equal(rng.get_state(), before)
    seen = [distorted(x_BCHW, ["gray", "blur"], rng) for _ in range(40)]
    as_they_are = sum(each is x_BCHW for each in seen)
    gray = sum(torch.equal(each[:, 0], each[:, 1]) for each in seen)
    assert 4 < as_they_are < 25
    assert 4 < gray < 25
    assert as_they_are + gray < 40


def trained_delta(table: ImageTable, **settings: Any) -> torch.Tensor:
    """δ of all images of a table after a short training."""
    short = {"rounds": 2, "generator": "tiny", "width": 4, "epochs": 2, "surrogate_epochs": 1, "resolution": 16}
    train = builders.training({**short, "batch_size": 16, "augment": ["crop"]}, **settings)
    plan = TrainPlan(train=train, tasks=builders.tasks(), protected=[True, True], epsilon=8 / 255)
    network = PERTURBERS[train.perturber].train(table, plan, CPU).generator
    seen = next(table.in_order(len(table), CPU))
    with torch.no_grad():
        delta_BCHW: torch.Tensor = network(seen.x_BCHW, seen.labels, seen.gray_B)
    return delta_BCHW


def test_class_codes_that_are_to_survive_grayscale_have_less_of_their_strength_in_colour(tmp_path: Path) -> None:
    table = builders.table(tmp_path / "images.arrow", 48)

    def colour(robust: list[str]) -> float:
        delta_BCHW = trained_delta(table, rounds=4, robust=robust)
        return float((delta_BCHW - delta_BCHW.mean(dim=1, keepdim=True)).square().sum() / delta_BCHW.square().sum())

    assert colour(["gray"]) < colour([])


@pytest.mark.parametrize("method", ["em", "sep"])
def test_a_generator_learns_another_delta_when_it_is_to_survive_something(method: str, tmp_path: Path) -> None:
    table = builders.table(tmp_path / "images.arrow", 48)
    made = [trained_delta(table, perturber="generator", method=method, robust=robust) for robust in ([], ["jpeg"])]
    assert not torch.equal(*made)


@pytest.mark.parametrize(
    "settings", [{"perturber": "pil"}, {"perturber": "tap-sample"}, {"perturber": "generator", "method": "pil"}]
)
def test_a_perturber_that_could_not_use_it_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"robust\n.*has no part in perturber .*; it belongs to: codes"):
        Train.model_validate({**settings, "robust": ["gray"]})
