"""VGG-16: small images lose poolings, never convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stages.networks.backbones.vgg import VGG16


@pytest.mark.parametrize(
    ("resolution", "poolings"), [(4, 1), (8, 2), (16, 3), (31, 3), (32, 4), (40, 4), (63, 4), (64, 5), (224, 5)]
)
def test_small_images_lose_poolings_and_keep_every_convolution(resolution: int, poolings: int) -> None:
    layers = list(VGG16(width=4, resolution=resolution).layers)
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in layers) == poolings
    assert [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)] == [4] * 2 + [8] * 2 + [16] * 3 + [
        32
    ] * 6


def test_weights_do_not_depend_on_the_resolution() -> None:
    small, large = VGG16(width=4, resolution=16), VGG16(width=4, resolution=224)
    large.load_state_dict(small.state_dict())
    assert torch.equal(large.layers[0].weight, small.layers[0].weight)
