"""Small networks of unlike architecture that learn a shortcut within a few steps: the pool of class codes.

None is a victim's architecture. Shapes: B images, C channels, H×W pixels, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from stages.models.backbones.resnet import residual_stage
from stages.tasks.base import TaskKind

GRID = 4
"""Side of the feature maps that heads without a mean over places see."""


def normed(channels_in: int, channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def bare(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """Convolution and a leaky ReLU, no norm."""
    return nn.Sequential(nn.Conv2d(channels_in, channels, 3, stride, 1), nn.LeakyReLU(0.1, inplace=True))


def pooled() -> nn.Sequential:
    """Mean over places."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def gridded() -> nn.Sequential:
    """Means over a grid of places, which the head tells apart."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(GRID), nn.Flatten())


def plain() -> tuple[nn.Module, int]:
    """Three convolutions with pooling between."""
    layers = (normed(3, 16), nn.MaxPool2d(2), normed(16, 32), nn.MaxPool2d(2), normed(32, 64), pooled())
    return nn.Sequential(*layers), 64


def wide() -> tuple[nn.Module, int]:
    """Two 5×5 convolutions of stride 2, and a grid of places."""
    return nn.Sequential(normed(3, 24, 5, 2), normed(24, 48, 5, 2), gridded()), 48 * GRID**2


def residual() -> tuple[nn.Module, int]:
    """A stem of stride 2 and residual blocks."""
    return nn.Sequential(normed(3, 16, 3, 2), residual_stage(16, 32, 2), residual_stage(32, 64, 2), pooled()), 64


def normless() -> tuple[nn.Module, int]:
    """Three convolutions without any norm, and a grid of places."""
    return nn.Sequential(bare(3, 24, 2), bare(24, 48, 2), bare(48, 48, 1), gridded()), 48 * GRID**2


POOL: dict[str, tuple[Callable[[], tuple[nn.Module, int]], float]] = {
    "plain": (plain, 3e-3),
    "normless": (normless, 2e-3),
    "wide": (wide, 3e-3),
    "residual": (residual, 3e-3),
}
"""Name → how a network without heads is built, with its number of features, and the learning rate that suits it."""


class PoolNetwork(nn.Module):
    """A fresh small network with one head a task.

    Args:
        name: in `POOL`.
        kinds: K tasks.
    """

    def __init__(self, name: str, kinds: Sequence[TaskKind]) -> None:
        super().__init__()
        build, self.learning_rate = POOL[name]
        self.body, features = build()
        self.heads = nn.ModuleList(kind.head(features) for kind in kinds)

    def forward(self, x_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """Images in [0, 1], B×3×H×W, to one output a task."""
        features_BF = self.body((x_BCHW - 0.5) / 0.25)
        return [head(features_BF) for head in self.heads]
