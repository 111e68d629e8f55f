"""U-Net (Ronneberger et al., 2015): maps as fine as the image, for dense tasks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.networks.backbones.backbone import Backbone
from stages.networks.backbones.resnet import SMALL_SIDE

LEVELS = 4
"""Scales, each half as fine as the one before."""


def pair(channels_in: int, channels: int) -> nn.Sequential:
    """Two 3×3 convolutions with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for source in (channels_in, channels):
        layers += [nn.Conv2d(source, channels, kernel_size=3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(Backbone):
    """Down to an eighth by max pooling and back up, joined at each scale with what was there before. F = 2·width.

    width, 2·width, 4·width, 8·width channels; no architecture of the pool that class codes are learned against.

    Args:
        width: channels of the first scale.
        resolution: side of the images in pixels. Above `SMALL_SIDE` a convolution of stride 2 comes first, and the maps
            are half as fine as the image.
    """

    smallest_resolution = 8

    def __init__(self, *, width: int, resolution: int) -> None:
        super().__init__(width=width, resolution=resolution)
        self.features = 2 * width
        large = resolution > SMALL_SIDE
        stem = [nn.Conv2d(3, width, kernel_size=5, stride=2, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.stem = nn.Sequential(*stem) if large else nn.Identity()
        sizes = [width * 2**level for level in range(LEVELS)]
        self.down = nn.ModuleList(
            pair(before, size) for before, size in zip([width if large else 3, *sizes], sizes, strict=False)
        )
        fine = [max(self.features, size) for size in sizes[:-1]]
        self.up = nn.ModuleList(
            pair(below + beside, size)
            for below, beside, size in zip([*fine[1:], sizes[-1]], sizes[:-1], fine, strict=True)
        )

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×2·width×H×W, or half as fine for large images."""
        maps: torch.Tensor = self.stem(x_BCHW)
        beside: list[torch.Tensor] = []
        for number, layer in enumerate(self.down):
            maps = layer(functional.max_pool2d(maps, 2) if number else maps)
            beside.append(maps)
        for layer, skip in zip(reversed(self.up), reversed(beside[:-1]), strict=True):
            raised = functional.interpolate(maps, size=skip.shape[2:], mode="nearest")
            maps = layer(torch.cat([raised, skip], dim=1))
        return maps
