"""DenseNet-121 (Huang et al., CVPR 2017): a stem for small images, any width, and fewer layers where it is thin."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

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


BOTTLENECK = 4
"""Channels between a layer's two convolutions, for each that it adds."""


class DenseLayer(nn.Module):
    """Norm, 1×1 convolution, norm, 3×3 convolution; its output stands beside its input. Names are torchvision's."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, BOTTLENECK * growth, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * growth)
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, kernel_size=3, padding=1, bias=False)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×C×H×W to B×(C + growth)×H×W."""
        narrow_BCHW = self.conv1(functional.relu(self.norm1(x_BCHW)))
        added_BCHW = self.conv2(functional.relu(self.norm2(narrow_BCHW)))
        return torch.cat([x_BCHW, added_BCHW], dim=1)


def dense_block(layers: int, channels: int, growth: int) -> nn.Sequential:
    """Layers that each see all maps before them."""
    names = [f"denselayer{number + 1}" for number in range(layers)]
    return nn.Sequential(
        OrderedDict((name, DenseLayer(channels + number * growth, growth)) for number, name in enumerate(names))
    )


def transition(channels: int) -> nn.Sequential:
    """Half the channels and half the side."""
    convolution = nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False)
    return nn.Sequential(
        OrderedDict(norm=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True), conv=convolution, pool=nn.AvgPool2d(2))
    )


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
                self.blocks.add_module(f"transition{number - 1}", transition(channels))
                channels //= 2
            self.blocks.add_module(f"denseblock{number}", dense_block(layers, channels, growth))
            channels += layers * growth
        self.blocks.add_module("norm5", nn.BatchNorm2d(channels))
        self.features = channels

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×features×h×w."""
        maps_BFhw: torch.Tensor = self.blocks(self.stem(x_BCHW))
        return functional.relu(maps_BFhw)
