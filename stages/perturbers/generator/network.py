"""The generator: encoder, one learnable embedding per task and class, decoder (docs/method.md, "Generator").

What the decoder sees is balanced. Each task's map and the image's features have a mean square of 1. The labels have at
least `LABEL_SHARE` times as many channels as the image. Otherwise few tasks are drowned by the image: δ follows it, and
a model of an unseen architecture finds no shortcut.

Shapes: B images, C channels, H×W pixels (H = W = R, the canonical resolution), K tasks, M embedding channels, h×w maps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from schemas.errors import GeneratorError
from schemas.plans import GeneratorSpec
from stages.networks.backbones.resnet import residual_stage, stem
from stages.perturbers.label_sums import sum_of_chosen, with_neutral
from stages.perturbers.shape import shaped
from stages.tasks.kinds import kinds_of
from stages.tasks.task_kind import LabelEmbedding


@dataclass(frozen=True)
class Preset:
    """Widths of one generator size."""

    small: bool
    """Small stem and decoder (h = R/2) or large ones (h = R/8)."""
    encoder: int
    """Channels of the encoder's first stage; z has twice as many."""
    embedding: int
    """M, channels of an embedding map, at least (`label_channels`)."""
    decoder: tuple[int, int]
    """Channels of the decoder's two hidden blocks."""


PRESETS = {
    "tiny": Preset(small=True, encoder=8, embedding=8, decoder=(32, 16)),
    "small": Preset(small=True, encoder=64, embedding=16, decoder=(64, 32)),
    "large": Preset(small=False, encoder=64, embedding=16, decoder=(64, 32)),
}


LABEL_SHARE = 4
"""Energy of the labels in the decoder's input over that of the image, at least. On two attributes of faces a victim
reaches 57 % at its best epoch with 1, 51 % with 4 (chance 50)."""


def label_channels(preset: Preset, protected: Sequence[bool]) -> int:
    """M: channels of each task's map, so that the protected tasks' together are `LABEL_SHARE` times z's at least."""
    return max(preset.embedding, math.ceil(LABEL_SHARE * 2 * preset.encoder / max(1, sum(protected))))


def of_unit_energy(maps_BMhw: torch.Tensor) -> torch.Tensor:
    """Each sample's maps with a mean square of 1, whatever their scale; zeros stay zeros."""
    squares_B111 = maps_BMhw.square().mean(dim=(1, 2, 3), keepdim=True)
    return maps_BMhw * torch.rsqrt(squares_B111 + SMALLEST_ENERGY)


CLASSES_A_CHANNEL = 2
"""Classes a channel of its maps, up to which a task's share of the decoder's first layer is computed once a class."""

SMALLEST_ENERGY = 1e-6
"""Added to a mean square: what has less of it counts as nothing."""


def upsample(channels_in: int, channels: int) -> nn.ConvTranspose2d:
    """Transposed convolution that doubles the side."""
    return nn.ConvTranspose2d(channels_in, channels, kernel_size=4, stride=2, padding=1)


def same(channels_in: int, channels: int) -> nn.ConvTranspose2d:
    """Transposed convolution that keeps the side."""
    return nn.ConvTranspose2d(channels_in, channels, kernel_size=3, padding=1)


def instance_norm(channels: int) -> nn.GroupNorm:
    """Instance norm without weights, as the group norm that it is: torch's own leaves channels-last memory."""
    return nn.GroupNorm(channels, channels, affine=False)


def decoder(channels_in: int, preset: Preset) -> nn.Sequential:
    """Transposed convolutions from h×w back to R×R, three channels out."""
    first, second = preset.decoder
    grow = same if preset.small else upsample
    return nn.Sequential(
        upsample(channels_in, first),
        same(first, first),
        instance_norm(first),
        nn.ReLU(inplace=True),
        grow(first, second),
        instance_norm(second),
        nn.ReLU(inplace=True),
        grow(second, 3),
    )


class Generator(nn.Module):
    """δ = ε·tanh(D([e¹, …, e^K, z])), each part of unit energy.

    A tanh lets gradients through everywhere; a clamp has none where δ has reached ±ε, which is nearly everywhere.

    Args:
        spec: its preset (a name in `PRESETS`), resolution R (a multiple of 4, of 8 for `large`), ε and tasks. A task
            that is not to be protected shows its neutral embedding.

    Raises:
        GeneratorError: the specification is of an earlier version, whose network was another one.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        if not spec.balanced:
            raise GeneratorError("an earlier version of mtlue trained it, whose network this version does not build")
        self.spec = spec
        chosen = PRESETS[spec.preset]
        self.encoder = nn.Sequential(
            stem(chosen.encoder, small=chosen.small),
            residual_stage(chosen.encoder, chosen.encoder, 1),
            residual_stage(chosen.encoder, 2 * chosen.encoder, 2),
        )
        side = spec.resolution // (2 if chosen.small else 8)
        self.channels = label_channels(chosen, spec.protected)
        self.embeddings = nn.ModuleList(kind.embedding(self.channels, side) for kind in kinds_of(spec.tasks))
        self.decoder = decoder(2 * chosen.encoder + len(spec.tasks) * self.channels, chosen)

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
        z_BChw = of_unit_energy(self.encoder((x_BCHW - 0.5) / 0.25))
        hidden_BCHW = self.decoder[1:](self._first_layer(labels, z_BChw))
        delta_BCHW: torch.Tensor = self.spec.epsilon * torch.tanh(shaped(hidden_BCHW, gray_B, self.spec))
        return delta_BCHW

    def _first_layer(self, labels: Sequence[torch.Tensor], z_BChw: torch.Tensor) -> torch.Tensor:
        """The decoder's first layer of [e¹, …, e^K, z].

        It is linear: what a class adds to it is computed once for the class and not for each of its images.
        """
        first = cast(nn.ConvTranspose2d, self.decoder[0])
        weights = first.weight.split([*[self.channels] * len(labels), z_BChw.shape[1]])
        seen, seeing = [z_BChw], [weights[-1]]
        of_classes: list[torch.Tensor] = []
        rows: list[torch.Tensor] = []
        for module, label, wanted, weight in zip(
            self.embeddings, labels, self.spec.protected, weights[:-1], strict=True
        ):
            embedding = cast(LabelEmbedding, module)
            table = embedding.table
            if table is not None and len(table) < CLASSES_A_CHANNEL * self.channels:
                of_classes.append(self._upsampled(of_unit_energy(with_neutral(embedding)), weight))
                rows.append(embedding.rows(label) if wanted else torch.full_like(label, len(table), dtype=torch.int64))
            else:
                seen.append(of_unit_energy(embedding(label) if wanted else embedding.neutral(len(z_BChw))))
                seeing.append(weight)
        hidden_BCHW = self._upsampled(torch.cat(seen, dim=1), torch.cat(seeing), first.bias)
        return hidden_BCHW + sum_of_chosen(of_classes, rows) if rows else hidden_BCHW

    @staticmethod
    def _upsampled(seen_BChw: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """As `upsample`, in channels-last memory."""
        seen_BChw = seen_BChw.contiguous(memory_format=torch.channels_last)
        return functional.conv_transpose2d(seen_BChw, weight, bias, stride=2, padding=1)
