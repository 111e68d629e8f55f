"""The generator: encoder, one learnable embedding per task and class, decoder (docs/method.md, "Generator").

Shapes: B images, C channels, H×W pixels (H = W = R, the canonical resolution), K tasks, M embedding channels, h×w maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from schemas.plans import GeneratorSpec
from stages.models.backbones.resnet import residual_stage, stem
from stages.models.shape import shaped
from stages.tasks.base import LabelEmbedding
from stages.tasks.registry import kinds_of


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
        spec: its preset (a name in `PRESETS`), resolution R (a multiple of 4, of 8 for `large`), ε and tasks; a task
            that is not to be protected shows its neutral embedding.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        chosen = PRESETS[spec.preset]
        self.encoder = nn.Sequential(
            stem(chosen.encoder, small=chosen.small),
            residual_stage(chosen.encoder, chosen.encoder, 1),
            residual_stage(chosen.encoder, 2 * chosen.encoder, 2),
        )
        side = spec.resolution // (2 if chosen.small else 8)
        self.embeddings = nn.ModuleList(kind.embedding(chosen.embedding, side) for kind in kinds_of(spec.tasks))
        self.decoder = decoder(2 * chosen.encoder + len(spec.tasks) * chosen.embedding, chosen)

    @property
    def class_maps(self) -> list[torch.Tensor]:
        """C_k×M×h×w of each task that has classes, for the regularisers."""
        tables = [cast(LabelEmbedding, embedding).table for embedding in self.embeddings]
        return [table for table in tables if table is not None]

    def forward(self, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor) -> torch.Tensor:
        """Perturbation of a batch at the canonical resolution.

        Args:
            x_BCHW: B×3×R×R in [0, 1].
            labels: of each task, first axis B; a missing one takes the task's neutral embedding.
            gray_B: bool; these images get one δ for all channels.

        Returns:
            δ, B×3×R×R in [-ε, +ε].
        """
        maps = [
            embedding(label) if wanted else cast(LabelEmbedding, embedding).neutral(len(x_BCHW))
            for embedding, label, wanted in zip(self.embeddings, labels, self.spec.protected, strict=True)
        ]
        z = self.encoder((x_BCHW - 0.5) / 0.25)
        epsilon = self.spec.epsilon
        delta_BCHW: torch.Tensor = epsilon * self.decoder(torch.cat([*maps, z], dim=1))
        return shaped(delta_BCHW, gray_B, self.spec).clamp(-epsilon, epsilon)
