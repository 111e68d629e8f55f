"""ResNet-18 and ResNet-50, also dilated: torchvision's residual blocks with a stem for small images and any width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from stages.networks.backbones.backbone import Backbone

SMALL_SIDE = 96
"""Up to this side of the images, in pixels, a stem keeps full resolution."""


class Shortcut(nn.Conv2d):
    """1×1 convolution with a stride, computed as subsampling and a 1×1 convolution without: the same result.

    In oneDNN (torch 2.14) the backward pass of the strided one may write outside its memory. It does so with fewer than
    16 input channels in channels-last memory and a batch that the threads cannot share evenly.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__(channels_in, channels, kernel_size=1, stride=stride, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """B×channels_in×H×W to B×channels×⌈H/stride⌉×⌈W/stride⌉."""
        down, right = self.stride
        return functional.conv2d(input[:, :, ::down, ::right], self.weight)


def shortcut(channels_in: int, channels: int, stride: int) -> nn.Sequential | None:
    """What a stage's first block adds its result to; None: its input as it is."""
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(Shortcut(channels_in, channels, stride), nn.BatchNorm2d(channels))


def residual_stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """Two basic blocks, as in every stage of ResNet-18 (He et al., 2016, table 1)."""
    from torchvision.models.resnet import BasicBlock

    first = BasicBlock(channels_in, channels, stride, shortcut(channels_in, channels, stride))
    return nn.Sequential(first, BasicBlock(channels, channels))


def bottleneck_stage(
    channels_in: int, channels: int, stride: int, blocks: int, dilations: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    """Bottleneck blocks, as in every stage of ResNet-50 (He et al., 2016, table 1); 4·channels come out.

    The stride lies in the 3×3 convolution, as in torchvision ("v1.5"); no strided 1×1 but the shortcut's. `dilations`:
    of the first block's 3×3 convolution, and of the others'.
    """
    from torchvision.models.resnet import Bottleneck

    wide, (one, others) = 4 * channels, dilations
    first = Bottleneck(channels_in, channels, stride, shortcut(channels_in, wide, stride), dilation=one)
    return nn.Sequential(first, *(Bottleneck(wide, channels, dilation=others) for _ in range(blocks - 1)))


def stem(channels: int, *, small: bool) -> nn.Sequential:
    """First layers: 3×3 with stride 1 for small images, else 7×7 with stride 2 and a max pool."""
    if small:
        convolution: list[nn.Module] = [nn.Conv2d(3, channels, kernel_size=3, padding=1, bias=False)]
    else:
        convolution = [nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False)]
    pool: list[nn.Module] = [] if small else [nn.MaxPool2d(kernel_size=3, stride=2, padding=1)]
    return nn.Sequential(*convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *pool)


class ResNet(Backbone, ABC):
    """A stem and four stages, for both depths.

    Args:
        width: channels of the first stage; 64 is the standard network.
        resolution: side of the images in pixels; up to `SMALL_SIDE` the stem keeps full resolution.
    """

    smallest_resolution = 9
    torchvision_names: ClassVar = {
        "conv1.": "stem.0.",
        "bn1.": "stem.1.",
        **{f"layer{number + 1}.": f"stages.{number}." for number in range(4)},
    }

    def __init__(self, *, width: int, resolution: int) -> None:
        super().__init__(width=width, resolution=resolution)
        self.stem = stem(width, small=resolution <= SMALL_SIDE)
        self.stages = self.four_stages(width)

    @abstractmethod
    def four_stages(self, width: int) -> nn.Sequential:
        """B×width×h×w to B×features×⌈h/8⌉×⌈w/8⌉; sets `features`."""

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×features×h×w."""
        maps_BFhw: torch.Tensor = self.stages(self.stem(x_BCHW))
        return maps_BFhw


class ResNet18(ResNet):
    """ResNet-18 without its classifier; two basic blocks a stage, F = 8·width."""

    def four_stages(self, width: int) -> nn.Sequential:
        """B×width×h×w to B×8·width×⌈h/8⌉×⌈w/8⌉."""
        self.features = 8 * width
        return nn.Sequential(
            residual_stage(width, width, 1),
            residual_stage(width, 2 * width, 2),
            residual_stage(2 * width, 4 * width, 2),
            residual_stage(4 * width, 8 * width, 2),
        )


class ResNet50(ResNet):
    """ResNet-50 without its classifier; 3, 4, 6 and 3 bottleneck blocks, F = 32·width."""

    def four_stages(self, width: int) -> nn.Sequential:
        """B×width×h×w to B×32·width×⌈h/8⌉×⌈w/8⌉."""
        self.features = 32 * width
        return nn.Sequential(
            bottleneck_stage(width, width, 1, 3),
            bottleneck_stage(4 * width, 2 * width, 2, 4),
            bottleneck_stage(8 * width, 4 * width, 2, 6),
            bottleneck_stage(16 * width, 8 * width, 2, 3),
        )


class DilatedResNet50(ResNet):
    """ResNet-50 whose last stages spread instead of shrinking (Yu et al., 2017): the usual network of dense tasks.

    Maps are an eighth as fine as a large image, the last two stages dilated by 2 and 4, with the weights of ResNet-50;
    a fourth as fine as a small image, the last stage dilated by 2. F = 32·width.
    """

    smallest_resolution = 5

    def __init__(self, *, width: int, resolution: int) -> None:
        self.small = resolution <= SMALL_SIDE
        super().__init__(width=width, resolution=resolution)

    def four_stages(self, width: int) -> nn.Sequential:
        """B×width×h×w to B×32·width maps."""
        self.features = 32 * width
        third, fourth = ((2, (1, 1)), (1, (1, 2))) if self.small else ((1, (1, 2)), (1, (2, 4)))
        return nn.Sequential(
            bottleneck_stage(width, width, 1, 3),
            bottleneck_stage(4 * width, 2 * width, 2, 4),
            bottleneck_stage(8 * width, 4 * width, third[0], 6, third[1]),
            bottleneck_stage(16 * width, 8 * width, fourth[0], 3, fourth[1]),
        )
