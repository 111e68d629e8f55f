"""U-Net and dilated ResNet-50: maps fine enough for dense tasks, and the weights that people have."""

from __future__ import annotations

import pytest
import torch
import torchvision

from stages.networks.backbones.architectures import BACKBONES


@pytest.mark.parametrize(
    ("name", "resolution", "side"),
    [
        ("unet", 48, 48),
        ("unet", 37, 37),
        ("unet", 112, 56),
        ("dilated_resnet50", 48, 12),
        ("dilated_resnet50", 112, 14),
    ],
)
def test_maps_are_fine(name: str, resolution: int, side: int) -> None:
    net = BACKBONES[name](width=4, resolution=resolution)
    with torch.no_grad():
        maps = net(torch.rand(2, 3, resolution, resolution, generator=torch.Generator().manual_seed(0)))
    assert maps.shape == (2, net.features, side, side)


def test_a_far_pixel_reaches_the_dilated_maps() -> None:
    """With dilation 4 in the last stage one map point sees most of a large image."""
    torch.manual_seed(0)
    net = BACKBONES["dilated_resnet50"](width=4, resolution=128).eval()
    x = torch.rand(1, 3, 128, 128, requires_grad=True)
    net(x)[0, :, 8, 8].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum(dim=(0, 1)) > 0
    assert seen.any(dim=0).sum() > 100


def test_dilation_at_its_standard_width_takes_the_weights_of_resnet50() -> None:
    with torch.device("meta"):
        ours, theirs = BACKBONES["dilated_resnet50"](width=64, resolution=224), torchvision.models.resnet50()
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    names = BACKBONES["dilated_resnet50"].torchvision_names
    renamed = {
        next((new + key.removeprefix(old) for old, new in names.items() if key.startswith(old)), key): shape
        for key, shape in shapes.items()
        if not key.startswith("fc.")
    }
    assert renamed == {key: value.shape for key, value in ours.state_dict().items()}
