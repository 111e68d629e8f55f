"""Stronger augmentation: crops with colour jitter, cutout, and plasma (UEraser-like).

- jitter: a random window of 40–100 % of the area, brightness, contrast and saturation by factors 0.6–1.4 (SimCLR's
  habit: Chen et al., ICML 2020).
- cutout: a gray square of half the side (DeVries, Taylor, 2017).
- ueraser: plasma brightness and contrast from a random fractal map and a random order of the channels, as UEraser (Qin
  et al., 2023, "Learning the unlearnable") has them, in its form without a search for the worst draw.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from stages.countermeasures.countermeasure import Countermeasure, Lesson
from stages.learning.augment import augment_with_labels
from stages.learning.table import Batch
from stages.networks.multitask import MultiTaskModel
from stages.tasks.task_kind import TaskKind
from stages.transforms.movement import Window

JITTER = 0.4
"""Furthest that a factor of brightness, contrast or saturation lies from 1."""

SMALLEST_WINDOW = 0.4
"""Share of the area that jitter's crop keeps at least."""

OCTAVES = 4
"""Layers of a plasma, each twice as fine and half as strong as the one before."""


@dataclass(frozen=True)
class Augmenting(Countermeasure):
    """One more change of the images of every batch, after the usual augmentation."""

    change: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    """From images in [0, 1] to images in [0, 1], B×C×H×W; every pixel keeps its place."""
    window: float = 1.0
    """Least share of the area in a random window of each image, which is resized to the whole before the change."""

    def lesson(
        self,
        model: MultiTaskModel,
        batch: Batch,
        kinds: Sequence[TaskKind],
        augments: Sequence[str],
        rng: torch.Generator,
        progress: float = 1.0,
    ) -> Lesson:
        """The batch after both augmentations; labels with places move as their image does."""
        x_BCHW, labels = augment_with_labels(batch.x_BCHW, batch.labels, kinds, augments, rng)
        if self.window < 1:
            window = Window.drawn(len(x_BCHW), self.window, rng)
            labels = tuple(kind.moved(label, window) for kind, label in zip(kinds, labels, strict=True))
            x_BCHW = window.of(x_BCHW)
        return Lesson(self.change(x_BCHW, rng), labels)


def jitter(x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Each image in changed light and colours."""
    light_B3 = (1 + JITTER * (2 * torch.rand(len(x_BCHW), 3, generator=rng) - 1)).to(x_BCHW)[:, :, None, None, None]
    x_BCHW = x_BCHW * light_B3[:, 0]
    x_BCHW = torch.lerp(x_BCHW.mean(dim=(1, 2, 3), keepdim=True), x_BCHW, light_B3[:, 1])
    return torch.lerp(x_BCHW.mean(dim=1, keepdim=True), x_BCHW, light_B3[:, 2]).clamp(0, 1)


def cutout(x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """A gray square somewhere in each image; at the border a part of it lies outside."""
    height, width = x_BCHW.shape[2:]
    rows_BH = (torch.arange(height) - torch.randint(height, (len(x_BCHW), 1), generator=rng)).abs() <= height // 4
    columns_BW = (torch.arange(width) - torch.randint(width, (len(x_BCHW), 1), generator=rng)).abs() <= width // 4
    inside_BHW = rows_BH[:, :, None] & columns_BW[:, None, :]
    return x_BCHW.masked_fill(inside_BHW[:, None].to(x_BCHW.device), 0.5)


def plasma(x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Brightness and contrast that change over the image, channels in another order; each for half of the images."""
    map_B1HW, other_B1HW = (_fractal(x_BCHW, rng) for _ in range(2))
    brighter_BCHW = _for_half(x_BCHW, x_BCHW + 0.5 * map_B1HW, rng)
    contrast_BCHW = _for_half(brighter_BCHW, 0.5 + (brighter_BCHW - 0.5) * (1 + other_B1HW), rng)
    shuffled_BCHW = contrast_BCHW[:, torch.randperm(x_BCHW.shape[1], generator=rng).to(x_BCHW.device)]
    return _for_half(contrast_BCHW, shuffled_BCHW, rng).clamp(0, 1)


def _fractal(x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """B×1×H×W in about -1..1: random values on grids of 2, 4, 8, … cells a side, added up."""
    total = torch.zeros(len(x_BCHW), 1, *x_BCHW.shape[2:])
    for octave in range(OCTAVES):
        cells = torch.rand(len(x_BCHW), 1, 2 ** (octave + 1), 2 ** (octave + 1), generator=rng) * 2 - 1
        total += functional.interpolate(cells, size=x_BCHW.shape[2:], mode="bilinear", align_corners=False) / 2**octave
    return total.to(x_BCHW)


def _for_half(x_BCHW: torch.Tensor, changed_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    chosen_B = torch.rand(len(x_BCHW), generator=rng) < 0.5
    return torch.where(chosen_B[:, None, None, None].to(x_BCHW.device), changed_BCHW, x_BCHW)
