"""Every backbone keeps the contract: it trains at small sizes and refuses what is too small for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

import schemas.training
from schemas.errors import ConfigError
from stages.learning.optimise import Optimisation, to_device
from stages.networks.backbones.architectures import BACKBONES, check_backbone
from stages.networks.backbones.backbone import Backbone

TRAIN = """
import torch
from stages.learning.optimise import to_device
from stages.networks.backbones.architectures import BACKBONES
torch.set_num_threads(2)
for name in BACKBONES:
    print(name, flush=True)
    for width, count in ((4, 3), (4, 11), (4, 33), (12, 3), (12, 13), (12, 33)):
        net = to_device(BACKBONES[name](width=width, resolution=16), torch.device("cpu"))
        x = torch.rand(count, 16, 16, 3).permute(0, 3, 1, 2)
        for _ in range(2):
            net(x).square().sum().backward()
"""


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def built(name: str, *, width: int = 4, resolution: int = 16) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return to_device(BACKBONES[name](width=width, resolution=resolution), torch.device("cpu"))


def test_the_configuration_offers_every_backbone() -> None:
    assert get_args(schemas.training.Backbone) == tuple(BACKBONES)


@pytest.mark.parametrize(("width", "resolution"), [(4, 16), (4, 64), (7, 40), (16, 16), (16, 32)])
@pytest.mark.parametrize("name", BACKBONES)
def test_a_thin_backbone_learns_a_few_images(name: str, width: int, resolution: int) -> None:
    net, rng = built(name, width=width, resolution=resolution), seeded()
    x = torch.rand(4, resolution, resolution, 3, generator=rng).permute(0, 3, 1, 2)
    x = x * torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])[:, :, None, None]  # of four colours
    head = torch.nn.Linear(net.features, 4, bias=False)
    torch.nn.init.normal_(head.weight, std=net.features**-0.5, generator=rng)
    optimisation = Optimisation([*net.parameters(), *head.parameters()], epochs=1)
    losses = []
    for _ in range(8):
        maps = net(x)
        assert maps.shape[:2] == (4, net.features)
        assert min(maps.shape[2:]) >= 2
        loss = torch.nn.functional.cross_entropy(head(maps.mean(dim=(2, 3))), torch.arange(4))
        optimisation.clear()
        loss.backward()
        optimisation.step()
        losses.append(loss.item())
    assert torch.tensor(losses).isfinite().all()
    assert losses[-1] < losses[0]
    assert all(bool(parameter.isfinite().all()) for parameter in net.parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_every_weight_takes_part_in_the_maps(name: str) -> None:
    net = built(name)
    net(torch.rand(4, 3, 16, 16, generator=seeded())).square().sum().backward()
    assert [key for key, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", BACKBONES)
def test_an_image_gets_the_same_maps_alone_and_in_a_batch(name: str) -> None:
    net = built(name, resolution=32).eval()
    x = torch.rand(3, 3, 32, 32, generator=seeded())
    with torch.no_grad():
        torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    one, again = built(name).state_dict(), built(name).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in one.items())


@pytest.mark.parametrize("name", BACKBONES)
def test_the_smallest_resolution_still_leaves_maps_and_the_next_smaller_is_refused(name: str) -> None:
    smallest = BACKBONES[name].smallest_resolution
    check_backbone(name, smallest)
    with torch.no_grad():
        maps = built(name, resolution=smallest)(torch.rand(2, 3, smallest, smallest, generator=seeded()))
    assert min(maps.shape[2:]) >= 2
    for refused in (lambda: check_backbone(name, smallest - 1), lambda: built(name, resolution=smallest - 1)):
        with pytest.raises(ConfigError, match=rf"too deep for images of {smallest - 1} px.*at least {smallest} px"):
            refused()


@pytest.mark.parametrize("name", BACKBONES)
def test_large_images_leave_maps_too(name: str) -> None:
    for resolution in (97, 112, 128):
        if name == "vit_b_16" and resolution == 97:
            continue
        with torch.no_grad():
            maps = built(name, resolution=resolution)(torch.rand(2, 3, resolution, resolution, generator=seeded()))
        assert min(maps.shape[2:]) >= 2


def test_an_unknown_backbone_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no backbone 'resnet19'.*resnet18, resnet50"):
        check_backbone("resnet19", 64)


@pytest.mark.slow
def test_a_narrow_network_survives_batches_that_threads_cannot_share_evenly() -> None:
    """In a process of its own: it ended by a signal when the shortcut was a strided convolution."""
    ended = subprocess.run(
        [sys.executable, "-c", TRAIN],
        cwd=Path(__file__).parents[5],
        env={
            **os.environ,
            "OMP_WAIT_POLICY": "PASSIVE",
        },  # on a busy machine threads that spin make it ten times as long
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, f"{ended.stdout.split()[-1:]} ended it: {ended.stderr}"
    assert ended.stdout.split() == list(BACKBONES)
