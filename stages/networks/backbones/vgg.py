"""VGG-16 with batch norm: torchvision's convolutions, with fewer poolings for small images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from stages.networks.backbones.backbone import Backbone

LAYOUT = "D"
"""Thirteen convolutions of 64 to 512 channels, a pooling ("M") after each of the five stages."""


def without_last_poolings(layers: nn.Sequential, kept: int) -> nn.Sequential:
    """The same layers at the same places, with the poolings after the first `kept` left out."""
    poolings = 0
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.MaxPool2d):
            poolings += 1
            if poolings > kept:
                layers[number] = nn.Identity()
    return layers


class VGG16(Backbone):
    """VGG-16-BN without its classifier (Simonyan and Zisserman, 2015, layout D; torchvision's `vgg16_bn`); F = 8·width.

    Args:
        width: channels of the first stage; 64 is the standard network.
        resolution: side of the images in pixels. From 64 px on all five poolings are there. Below, the last ones are
            left out until at least 2×2 maps remain: four from 32 px, three from 16.
    """

    smallest_resolution = 4
    torchvision_names: ClassVar = {"features.": "layers."}

    def __init__(self, *, width: int, resolution: int) -> None:
        from torchvision.models.vgg import cfgs, make_layers

        super().__init__(width=width, resolution=resolution)
        layout = [entry if isinstance(entry, str) else entry * width // 64 for entry in cfgs[LAYOUT]]
        poolings = min(5, resolution.bit_length() - 2)
        self.layers = without_last_poolings(make_layers(layout, batch_norm=True), poolings)
        self.features = 8 * width

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×features×h×w."""
        maps_BFhw: torch.Tensor = self.layers(x_BCHW)
        return maps_BFhw
