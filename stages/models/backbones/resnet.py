"""Backbones of surrogates and victims: torchvision's residual blocks with a stem for small images and any width."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock


class Shortcut(nn.Conv2d):
    """1×1 convolution with a stride, computed as subsampling and a 1×1 convolution without: the same result.

    In oneDNN (torch 2.14) the backward pass of the strided one writes outside its memory when it has fewer than 16
    input channels in channels-last memory and a batch that the threads cannot share evenly.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__(channels_in, channels, kernel_size=1, stride=stride, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """B×channels_in×H×W to B×channels×⌈H/stride⌉×⌈W/stride⌉."""
        down, right = self.stride
        return functional.conv2d(input[:, :, ::down, ::right], self.weight)


def residual_stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """Two basic blocks, as in every stage of ResNet-18 (He et al., 2016, table 1)."""
    shortcut = None
    if stride != 1 or channels_in != channels:
        shortcut = nn.Sequential(Shortcut(channels_in, channels, stride), nn.BatchNorm2d(channels))
    return nn.Sequential(BasicBlock(channels_in, channels, stride, shortcut), BasicBlock(channels, channels))


def stem(channels: int, *, small: bool) -> nn.Sequential:
    """First layers: 3×3 with stride 1 for small images, else 7×7 with stride 2 and a max pool."""
    if small:
        convolution: list[nn.Module] = [nn.Conv2d(3, channels, kernel_size=3, padding=1, bias=False)]
    else:
        convolution = [nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False)]
    pool: list[nn.Module] = [] if small else [nn.MaxPool2d(kernel_size=3, stride=2, padding=1)]
    return nn.Sequential(*convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *pool)


class ResNet18(nn.Module):
    """ResNet-18 without its classifier.

    Args:
        width: channels of the first stage; 64 is the standard network.
        resolution: side of the images in pixels; up to 96 the stem keeps full resolution.
    """

    def __init__(self, *, width: int, resolution: int) -> None:
        super().__init__()
        self.stem = stem(width, small=resolution <= 96)
        self.stages = nn.Sequential(
            residual_stage(width, width, 1),
            residual_stage(width, 2 * width, 2),
            residual_stage(2 * width, 4 * width, 2),
            residual_stage(4 * width, 8 * width, 2),
        )
        self.features = 8 * width

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×features×h×w."""
        maps_BFhw: torch.Tensor = self.stages(self.stem(x_BCHW))
        return maps_BFhw
