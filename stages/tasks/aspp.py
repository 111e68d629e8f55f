"""The head of a dense task: atrous spatial pyramid pooling (DeepLabv3, Chen et al., 2017, section 3.3).

Shapes: B images, F features, h×w maps, O outputs per place.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

SHARES = (0.18, 0.36, 0.54)
"""Dilations as shares of the maps' side: 6, 12 and 18 of 33, as in the paper, whatever the size of the maps."""

LEAST_UNITS, MOST_UNITS = 16, 256


def normed(channels_in: int, channels: int) -> nn.Sequential:
    """1×1 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel_size=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


class Atrous(nn.Module):
    """3×3 convolution dilated by a share of the maps' side, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.convolution = nn.Conv2d(channels_in, channels, kernel_size=3, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, maps_BFhw: torch.Tensor) -> torch.Tensor:
        """B×F×h×w to B×channels×h×w."""
        reach = max(1, round(self.share * min(maps_BFhw.shape[2:])))
        weight = self.convolution.weight
        return functional.relu(self.norm(functional.conv2d(maps_BFhw, weight, padding=reach, dilation=reach)))


class ASPP(nn.Module):
    """1×1, three dilated 3×3 and the mean over places side by side, joined, then a linear layer to O.

    Args:
        features: F; an eighth of it, 16 to 256, are the units of each branch.
        outputs: O.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        units = min(MOST_UNITS, max(LEAST_UNITS, features // 8))
        self.near = normed(features, units)
        self.far = nn.ModuleList(Atrous(features, units, share) for share in SHARES)
        # No norm: a batch has few means.
        self.mean = nn.Sequential(nn.Conv2d(features, units, kernel_size=1), nn.ReLU(inplace=True))
        self.join = normed(5 * units, units)
        self.last = nn.Conv2d(units, outputs, kernel_size=1)

    def forward(self, maps_BFhw: torch.Tensor) -> torch.Tensor:
        """B×F×h×w to B×O×h×w."""
        mean = self.mean(maps_BFhw.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *maps_BFhw.shape[2:])
        branches = [self.near(maps_BFhw), *(branch(maps_BFhw) for branch in self.far), mean]
        output_BOhw: torch.Tensor = self.last(self.join(torch.cat(branches, dim=1)))
        return output_BOhw


def dense_head(features: int, outputs: int, *, bias: bool = True) -> nn.Module:
    """ASPP; without `bias` one linear layer that sees a small neighbourhood."""
    return ASPP(features, outputs) if bias else nn.Conv2d(features, outputs, kernel_size=9, padding=4, bias=False)
