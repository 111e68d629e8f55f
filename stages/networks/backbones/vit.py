"""ViT-B/16: torchvision's encoder, with smaller patches for small images and fewer layers where it is thin.

Shapes: B images, C channels, H×W pixels, h×w patches, N = h·w + 1 tokens (the class token first), F = 12·width units.
"""

from __future__ import annotations

import math
from typing import ClassVar, cast

import torch
from torch import nn

from schemas.errors import ConfigError
from stages.networks.backbones.backbone import Backbone

STANDARD_PATCH = 16
"""Side of a patch in pixels, for images from `LARGE_SIDE` on."""

LARGE_SIDE = 128
"""Smallest side of images with standard patches, in pixels."""

TOKENS_A_SIDE = range(8, 15)
"""h and w for smaller images."""


def patch_side(resolution: int) -> int | None:
    """Side of a patch in pixels: the largest that divides the image into 8×8 to 14×14; None: there is no such.

    >>> [patch_side(side) for side in (16, 32, 40, 64, 96, 224)]
    [2, 4, 5, 8, 12, 16]
    """
    if resolution >= LARGE_SIDE:
        return None if resolution % STANDARD_PATCH else STANDARD_PATCH
    return next((resolution // tokens for tokens in TOKENS_A_SIDE if resolution % tokens == 0), None)


def depth_and_heads(width: int) -> tuple[int, int]:
    """Encoder layers and attention heads; a head has 12·width/heads units, 64 at the standard width.

    Three layers where it is thin, so that a training step on a CPU is of ResNet-18's order. At width 12, 40 px and on
    one core it takes some 1.8 times as long as ResNet-18's; 6.9 times with twelve layers.

    >>> [depth_and_heads(width) for width in (12, 32, 64)]
    [(3, 3), (8, 6), (12, 12)]
    """
    if width <= 16:
        return 3, 3
    return (8, 6) if width <= 32 else (12, 12)


class ViTB16(Backbone):
    """ViT-B/16 without its classifier (Dosovitskiy et al., 2021); F = 12·width.

    Its maps are the encoder's tokens at their places, without the class token.

    Args:
        width: a twelfth of the hidden units; 64 is the standard network.
        resolution: side of the images in pixels, from which the patches follow (`patch_side`). The positions are learnt
            for this side: `forward` takes no other.

    Raises:
        ConfigError: no patch divides the resolution.
    """

    smallest_resolution = 8
    torchvision_names: ClassVar = {
        "class_token": "class_token",
        "conv_proj.": "patches.",
        "encoder.": "encoder.",
    }

    def __init__(self, *, width: int, resolution: int) -> None:
        from torchvision.models.vision_transformer import Encoder

        super().__init__(width=width, resolution=resolution)
        patch = patch_side(resolution) or STANDARD_PATCH
        depth, heads = depth_and_heads(width)
        self.resolution, self.features = resolution, 12 * width
        self.patches = nn.Conv2d(3, self.features, kernel_size=patch, stride=patch)
        nn.init.trunc_normal_(self.patches.weight, std=math.sqrt(1 / (3 * patch * patch)))
        nn.init.zeros_(cast(torch.Tensor, self.patches.bias))
        self.class_token = nn.Parameter(torch.zeros(1, 1, self.features))
        self.encoder = Encoder(
            (resolution // patch) ** 2 + 1,
            depth,
            heads,
            self.features,
            mlp_dim=4 * self.features,
            dropout=0.0,
            attention_dropout=0.0,
        )

    @classmethod
    def check_resolution(cls, resolution: int) -> None:
        """Refuse a side that no patch divides.

        Raises:
            ConfigError: as `Backbone.check_resolution`, or no patch divides it.
        """
        super().check_resolution(resolution)
        if patch_side(resolution) is None:
            wanted = (
                f"patches of {STANDARD_PATCH} px"
                if resolution >= LARGE_SIDE
                else f"{TOKENS_A_SIDE[0]} to {TOKENS_A_SIDE[-1]} patches a side"
            )
            near = min(
                (side for side in range(cls.smallest_resolution, resolution + STANDARD_PATCH) if patch_side(side)),
                key=lambda side: abs(side - resolution),
            )
            raise ConfigError(
                f"{cls.__name__} cannot divide images of {resolution} px into {wanted}; the nearest side that works is "
                f"{near}"
            )

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×R×R, normalised, R the resolution, to B×features×h×w.

        Raises:
            ValueError: the images have another side.
        """
        if x_BCHW.shape[2:] != (self.resolution, self.resolution):
            raise ValueError(f"x_BCHW must be {self.resolution}×{self.resolution} px; found {tuple(x_BCHW.shape[2:])}")
        patches_BFhw = self.patches(x_BCHW)
        tokens_BNF = patches_BFhw.flatten(2).transpose(1, 2)
        encoded_BNF = self.encoder(torch.cat([self.class_token.expand(len(x_BCHW), -1, -1), tokens_BNF], dim=1))
        maps_BFhw: torch.Tensor = encoded_BNF[:, 1:].transpose(1, 2).unflatten(2, patches_BFhw.shape[2:])
        return maps_BFhw
