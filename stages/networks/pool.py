"""Small networks of unlike architecture that learn a shortcut within a few steps: the pool of class codes.

None is a victim's architecture. Shapes: B images, C channels, H×W pixels, F features, h×w maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from stages.networks.backbones.resnet import residual_stage
from stages.networks.multitask import answers_of, resized
from stages.tasks.task_kind import TaskKind

GRID = 4
"""Side of the feature maps that heads without a mean over places see."""


def normed(channels_in: int, channels: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, dilation * (kernel // 2), dilation, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def bare(channels_in: int, channels: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """Convolution and a leaky ReLU, no norm."""
    convolution = nn.Conv2d(channels_in, channels, 3, stride, dilation, dilation)
    return nn.Sequential(convolution, nn.LeakyReLU(0.1, inplace=True))


def pooled() -> nn.Sequential:
    """Mean over places."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def gridded() -> nn.Sequential:
    """Means over a grid of places, which the head sees separately."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(GRID), nn.Flatten())


class Body(NamedTuple):
    """A network without heads."""

    maps: nn.Module
    """B×3×H×W to B×F×h×w, which heads of dense tasks see."""
    channels: int
    """F."""
    pool: nn.Module
    """From there to what all other heads see, B×`features`."""
    features: int


def plain() -> Body:
    """Three convolutions with pooling between."""
    layers = (normed(3, 16), nn.MaxPool2d(2), normed(16, 32), nn.MaxPool2d(2), normed(32, 64))
    return Body(nn.Sequential(*layers), 64, pooled(), 64)


def wide() -> Body:
    """Two 5×5 convolutions of stride 2, and a grid of places."""
    return Body(nn.Sequential(normed(3, 24, 5, 2), normed(24, 48, 5, 2)), 48, gridded(), 48 * GRID**2)


def residual() -> Body:
    """A stem of stride 2 and residual blocks."""
    layers = (normed(3, 16, 3, 2), residual_stage(16, 32, 2), residual_stage(32, 64, 2))
    return Body(nn.Sequential(*layers), 64, pooled(), 64)


def normless() -> Body:
    """Three convolutions without any norm, and a grid of places."""
    return Body(nn.Sequential(bare(3, 24, 2), bare(24, 48, 2), bare(48, 48, 1)), 48, gridded(), 48 * GRID**2)


POOL: dict[str, tuple[Callable[[], Body], float]] = {
    "plain": (plain, 3e-3),
    "normless": (normless, 2e-3),
    "wide": (wide, 3e-3),
    "residual": (residual, 3e-3),
}
"""Name → how a network without heads is built, and the learning rate that suits it."""


def fine_plain() -> Body:
    """Four convolutions, the last two dilated by 2 and 4."""
    layers = (normed(3, 16), normed(16, 32, 3, 2), normed(32, 48, dilation=2), normed(48, 48, dilation=4))
    return Body(nn.Sequential(*layers), 48, pooled(), 48)


def fine_normless() -> Body:
    """The same without any norm."""
    layers = (bare(3, 24, 1), bare(24, 32, 2), bare(32, 48, 1, dilation=2), bare(48, 48, 1, dilation=4))
    return Body(nn.Sequential(*layers), 48, pooled(), 48)


def fine_wide() -> Body:
    """Two 5×5 convolutions of stride 2, and one dilated by 2."""
    layers = (normed(3, 24, 5, 2), normed(24, 48, 5, 2), normed(48, 48, dilation=2))
    return Body(nn.Sequential(*layers), 48, pooled(), 48)


def fine_residual() -> Body:
    """A stem of stride 2, residual blocks with dilated convolutions between."""
    from torchvision.models.resnet import BasicBlock

    blocks = (BasicBlock(16, 16), normed(16, 32, dilation=2), BasicBlock(32, 32), normed(32, 48, dilation=4))
    return Body(nn.Sequential(normed(3, 16, 3, 2), *blocks), 48, pooled(), 48)


FINE: dict[str, Callable[[], Body]] = {
    "plain": fine_plain,
    "normless": fine_normless,
    "wide": fine_wide,
    "residual": fine_residual,
}
"""What takes their place where a task has a label per pixel: coarse maps do not see where a texture ends."""


class PoolNetwork(nn.Module):
    """A fresh small network with one head a task; with finer maps where a task is dense (`FINE`).

    Args:
        name: in `POOL`.
        kinds: K tasks.
    """

    def __init__(self, name: str, kinds: Sequence[TaskKind]) -> None:
        super().__init__()
        build, self.learning_rate = POOL[name]
        self.dense = [kind.dense for kind in kinds]
        body = FINE[name]() if any(self.dense) else build()
        self.maps, self.pool = body.maps, body.pool
        self.heads = nn.ModuleList(kind.quick_head(body.channels if kind.dense else body.features) for kind in kinds)

    def forward(self, x_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """Images in [0, 1], B×3×H×W, to one output a task."""
        maps_BFhw = self.maps((x_BCHW - 0.5) / 0.25)
        pooled_BF, (height, width) = self.pool(maps_BFhw), x_BCHW.shape[-2:]
        others = iter(
            answers_of([head for head, dense in zip(self.heads, self.dense, strict=True) if not dense], pooled_BF)
        )
        return [
            resized(head(maps_BFhw), (height, width)) if dense else next(others)
            for head, dense in zip(self.heads, self.dense, strict=True)
        ]
