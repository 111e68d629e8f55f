"""Two small nets that judge protection: their architecture shares nothing with that of the surrogates.

Protection is easily measured too kindly: where the victim is built like the surrogate, δ suits it. Use them as victims
only, never as surrogates: a judge that a method has met judges nothing. Both are cheap on a CPU.
"""

from __future__ import annotations

import torch
from torch import nn

from stages.networks.backbones.backbone import Backbone
from stages.networks.backbones.resnet import residual_stage


class Stride5(Backbone):
    """A judge: thin ResNet whose 5×5 stem halves the image at once; the unseen victim of our measurements. F = 4·width.

    Conv 5×5 stride 2 → width, batch norm, ReLU; residual stages width, 2·width (stride 2), 4·width (stride 2), 4·width.

    Args:
        width: channels of the first stage.
        resolution: side of the images in pixels; the network is the same for each.
    """

    smallest_resolution = 9

    def __init__(self, *, width: int, resolution: int) -> None:
        super().__init__(width=width, resolution=resolution)
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            residual_stage(width, width, 1),
            residual_stage(width, 2 * width, 2),
            residual_stage(2 * width, 4 * width, 2),
            residual_stage(4 * width, 4 * width, 1),
        )
        self.features = 4 * width

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×features×h×w."""
        maps_BFhw: torch.Tensor = self.layers(x_BCHW)
        return maps_BFhw


class Plain(Backbone):
    """A judge: convolutions without batch norm and without residuals, the hardest that we measured. F = 4·width.

    Conv 5×5 stride 2 → 1.5·width, conv 3×3 → 3·width, max pool, conv 3×3 → 4·width, max pool; ReLU after each
    convolution.

    Args:
        width: a quarter of the last channels.
        resolution: side of the images in pixels; the network is the same for each.
    """

    smallest_resolution = 15

    def __init__(self, *, width: int, resolution: int) -> None:
        super().__init__(width=width, resolution=resolution)
        first = 3 * width // 2
        self.layers = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=5, stride=2, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, 3 * width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2),
            nn.Conv2d(3 * width, 4 * width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2),
        )
        self.features = 4 * width

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×features×h×w."""
        maps_BFhw: torch.Tensor = self.layers(x_BCHW)
        return maps_BFhw
