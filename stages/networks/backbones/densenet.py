"""DenseNet-121: torchvision's dense blocks a stem for small images, any width, and fewer layers where thin."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.densenet import _DenseBlock, _Transition

from stages.networks.backbones.backbone import Backbone
from stages.networks.backbones.resnet import SMALL_SIDE, stem

BLOCKS = (6, 12, 24, 16)
"""Layers of each dense block (Huang et al., 2017, table 1)."""

THIN_BLOCKS = (3, 6, 12, 8)
"""The same for a width of at most `THIN_WIDTH`: half, so that a training step on a CPU is of ResNet-18's order.

At width 12, 40 px and on one core it takes some 1.5 times as long as ResNet-18's; 3.6 times with `BLOCKS`.
"""

THIN_WIDTH = 16
"""Widest network with `THIN_BLOCKS`, in channels."""


class DenseNet121(Backbone):
    """DenseNet-121 without its classifier; F = 16·width, some 8·width where it is thin.

    Args:
        width: channels of the stem, twice the growth rate; 64 is the standard network.
        resolution: side of the images in pixels; up to `SMALL_SIDE` the stem keeps full resolution.
    """

    smallest_resolution = 16
    torchvision_names: ClassVar = {
        "features.conv0.": "stem.0.",
        "features.norm0.": "stem.1.",
        "features.": "blocks.",
    }

    def __init__(self, *, width: int, resolution: int) -> None:
        super().__init__(width=width, resolution=resolution)
        self.stem = stem(width, small=resolution <= SMALL_SIDE)
        growth, channels = width // 2, width
        self.blocks = nn.Sequential()
        for number, layers in enumerate(THIN_BLOCKS if width <= THIN_WIDTH else BLOCKS, start=1):
            if number > 1:
                self.blocks.add_module(f"transition{number - 1}", _Transition(channels, channels // 2))
                channels //= 2
            block = _DenseBlock(layers, channels, bn_size=4, growth_rate=growth, drop_rate=0.0)
            self.blocks.add_module(f"denseblock{number}", block)
            channels += layers * growth
        self.blocks.add_module("norm5", nn.BatchNorm2d(channels))
        self.features = channels

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×features×h×w."""
        maps_BFhw: torch.Tensor = self.blocks(self.stem(x_BCHW))
        return functional.relu(maps_BFhw)
