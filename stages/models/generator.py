"""The generator: encoder, one learnable embedding per task and class, decoder (docs/method.md, "Generator").

Shapes: B images, C channels, H×W pixels (H = W = R, the canonical resolution), K tasks, M embedding channels, h×w maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from schemas.tasks import MISSING
from stages.models.backbones.resnet import residual_stage, stem


@dataclass(frozen=True)
class Preset:
    """Widths of one generator size."""

    small: bool
    """Small stem and decoder (h = R/2) or large ones (h = R/8)."""
    encoder: int
    """Channels of the encoder's first stage; z has twice as many."""
    embedding: int
    """M, channels of an embedding map."""
    decoder: tuple[int, int]
    """Channels of the decoder's two hidden blocks."""


PRESETS = {
    "tiny": Preset(small=True, encoder=8, embedding=8, decoder=(32, 16)),
    "small": Preset(small=True, encoder=64, embedding=16, decoder=(64, 32)),
    "large": Preset(small=False, encoder=64, embedding=16, decoder=(64, 32)),
}


def upsample(channels_in: int, channels: int) -> nn.ConvTranspose2d:
    """Transposed convolution that doubles the side."""
    return nn.ConvTranspose2d(channels_in, channels, kernel_size=4, stride=2, padding=1)


def same(channels_in: int, channels: int) -> nn.ConvTranspose2d:
    """Transposed convolution that keeps the side."""
    return nn.ConvTranspose2d(channels_in, channels, kernel_size=3, padding=1)


def decoder(channels_in: int, preset: Preset) -> nn.Sequential:
    """Transposed convolutions from h×w back to R×R, three channels out."""
    first, second = preset.decoder
    grow = same if preset.small else upsample
    return nn.Sequential(
        upsample(channels_in, first),
        same(first, first),
        nn.InstanceNorm2d(first),
        nn.ReLU(inplace=True),
        grow(first, second),
        nn.InstanceNorm2d(second),
        nn.ReLU(inplace=True),
        grow(second, 3),
    )


class Generator(nn.Module):
    """δ = clamp(D([e¹, …, e^K, z]), -ε, +ε).

    The decoder's last layer works in units of ε: `clamp(ε·D')`, the same function with a scale that lets gradients
    through the clamp from the first step.

    Args:
        preset: a name in `PRESETS`.
        class_counts: C_k of each task.
        protected: per task, whether it becomes unlearnable; the others use their mean embedding.
        resolution: R in pixels; a multiple of 4 (8 for `large`).
        epsilon: ε in [0, 1] units.
    """

    def __init__(
        self, preset: str, *, class_counts: Sequence[int], protected: Sequence[bool], resolution: int, epsilon: float
    ) -> None:
        super().__init__()
        chosen = PRESETS[preset]
        self.epsilon = epsilon
        self.protected = list(protected)
        self.resolution = resolution
        self.encoder = nn.Sequential(
            stem(chosen.encoder, small=chosen.small),
            residual_stage(chosen.encoder, chosen.encoder, 1),
            residual_stage(chosen.encoder, 2 * chosen.encoder, 2),
        )
        side = resolution // (2 if chosen.small else 8)
        self.embeddings = nn.ParameterList(
            nn.Parameter(torch.randn(count, chosen.embedding, side, side)) for count in class_counts
        )
        self.decoder = decoder(2 * chosen.encoder + len(class_counts) * chosen.embedding, chosen)

    def forward(self, x_BCHW: torch.Tensor, labels_BK: torch.Tensor, gray_B: torch.Tensor) -> torch.Tensor:
        """Perturbation of a batch at the canonical resolution.

        Args:
            x_BCHW: B×3×R×R in [0, 1].
            labels_BK: int64, B×K; `MISSING` takes the mean of the task's class maps.
            gray_B: bool; these images get one δ for all channels.

        Returns:
            δ, B×3×R×R in [-ε, +ε].
        """
        maps = [self.embed(task, labels_BK[:, task]) for task in range(len(self.embeddings))]
        z = self.encoder((x_BCHW - 0.5) / 0.25)
        delta_BCHW: torch.Tensor = self.epsilon * self.decoder(torch.cat([*maps, z], dim=1))
        if bool(gray_B.any()):
            mean = delta_BCHW.mean(dim=1, keepdim=True)
            delta_BCHW = torch.where(gray_B[:, None, None, None], mean, delta_BCHW)
        return delta_BCHW.clamp(-self.epsilon, self.epsilon)

    def embed(self, task: int, label_B: torch.Tensor) -> torch.Tensor:
        """Embedding maps of one task, B×M×h×w; the mean map for missing labels and for a task that is not protected."""
        table: torch.Tensor = self.embeddings[task]
        mean = table.mean(dim=0, keepdim=True)
        if not self.protected[task]:
            return mean.expand(len(label_B), -1, -1, -1)
        known_B = label_B != MISSING
        maps = table[label_B.clamp(min=0)]
        return maps if bool(known_B.all()) else torch.where(known_B[:, None, None, None], maps, mean)
