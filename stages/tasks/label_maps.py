"""From labels with a value per pixel to the maps that generator and class codes see.

Shapes: B images, S planes of a label, T textures, M embedding channels, R side of the labels, h×w maps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from stages.tasks.task_kind import LabelEmbedding

PerPixel = Callable[[torch.Tensor], torch.Tensor]

TILE = 8
"""Side of a texture in pixels. It repeats, so that a network finds it wherever a class lies."""


class ConvolvedLabels(LabelEmbedding):
    """A small strided convolution from the label's planes to M×h×w; where nothing is known all planes are 0.

    Args:
        planes_of: B×R×R labels (or with more axes) to B×S×R×R in -1..1.
        planes: S.
        channels: M.
        side: h and w.
    """

    def __init__(self, planes_of: PerPixel, planes: int, channels: int, side: int) -> None:
        super().__init__()
        self.planes_of, self.planes, self.side = planes_of, planes, side
        self.layers = nn.Sequential(
            nn.Conv2d(planes, channels, kernel_size=3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        )

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """B labels to B×M×h×w."""
        return self._convolved(self.planes_of(labels))

    def neutral(self, count: int) -> torch.Tensor:
        """What a label shows in which nothing is known."""
        weight = next(self.parameters())
        blank = torch.zeros(1, self.planes, 2 * self.side, 2 * self.side, device=weight.device)
        return self._convolved(blank).expand(count, -1, -1, -1)

    @property
    def table(self) -> None:
        """None: the regularisers have no part in dense tasks (docs/method.md)."""
        return None

    def _convolved(self, planes_BSRR: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_avg_pool2d(self.layers(planes_BSRR), self.side)


class Textures(LabelEmbedding):
    """Learnable textures, mixed in each pixel by what its label says; a pixel without a label takes their mean.

    Args:
        weights_of: B×R×R labels (or with more axes) to B×T×R×R; each pixel's T weights, all 0 where nothing is known.
        textures: T.
        channels: M.
        side: R.
    """

    def __init__(self, weights_of: PerPixel, textures: int, channels: int, side: int) -> None:
        super().__init__()
        self.weights_of, self.side = weights_of, side
        self.tiles = nn.Parameter(torch.randn(textures, channels, TILE, TILE))

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """B labels to B×M×R×R."""
        weights_BTRR = self.weights_of(labels)
        unknown_B1RR = (weights_BTRR == 0).all(dim=1, keepdim=True)
        weights_BTRR = torch.where(unknown_B1RR, 1 / len(self.tiles), weights_BTRR)
        return torch.einsum("bthw,tmhw->bmhw", weights_BTRR, self._spread())

    def neutral(self, count: int) -> torch.Tensor:
        """The mean of the textures, `count` times."""
        return self._spread().mean(dim=0, keepdim=True).expand(count, -1, -1, -1)

    @property
    def table(self) -> None:
        """None: there are no class maps."""
        return None

    def _spread(self) -> torch.Tensor:
        """T×M×R×R: the tiles, each less its mean, repeated.

        Otherwise they become mere tints, of which there are three for all tasks, and light changes colours anyway.
        """
        times, tiles = -(-self.side // TILE), self.tiles - self.tiles.mean(dim=(2, 3), keepdim=True)
        return tiles.repeat(1, 1, times, times)[:, :, : self.side, : self.side]
