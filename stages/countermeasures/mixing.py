"""Mixing of images: mixup and CutMix, which the shortcut of a class has to share with another class's.

mixup (Zhang et al., ICLR 2018): x = (1 − s)·x + s·x', s from Beta(1, 1). CutMix (Yun et al., ICCV 2019): a box of the
other image, of the share s of its area. The loss is mixed in the same shares; in CutMix a label with a value per pixel
gets the other's box instead (French et al., BMVC 2020). One s a batch. Both are in APBench (Qin
et al., 2023). Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stages.countermeasures.countermeasure import Countermeasure, Lesson
from stages.learning.augment import augment_with_labels
from stages.learning.table import Batch
from stages.networks.multitask import MultiTaskModel
from stages.tasks.task_kind import TaskKind


@dataclass(frozen=True)
class Mixing(Countermeasure):
    """Each image of a batch is mixed with another of it."""

    cut: bool
    """A box of the other image (CutMix) instead of a blend (mixup)."""

    def lesson(
        self,
        model: MultiTaskModel,
        batch: Batch,
        kinds: Sequence[TaskKind],
        augments: Sequence[str],
        rng: torch.Generator,
        progress: float = 1.0,
    ) -> Lesson:
        """The mixed batch, with both labels."""
        x_BCHW, labels = augment_with_labels(batch.x_BCHW, batch.labels, kinds, augments, rng)
        order_B = torch.randperm(len(x_BCHW), generator=rng)
        share, other_BCHW = float(torch.rand(1, generator=rng)), x_BCHW[order_B.to(x_BCHW.device)]
        others = tuple(label[order_B.to(label.device)] for label in labels)
        if self.cut:
            height, width = x_BCHW.shape[2:]
            tall, wide = round(height * share**0.5), round(width * share**0.5)
            top, left = (int(torch.randint(0, room + 1, (1,), generator=rng)) for room in (height - tall, width - wide))
            box = (..., slice(top, top + tall), slice(left, left + wide))
            mixed_BCHW = _pasted(x_BCHW, other_BCHW, box)
            trios = zip(kinds, labels, others, strict=True)
            labels = tuple(_pasted(label, other, box) if kind.dense else label for kind, label, other in trios)
            trios = zip(kinds, labels, others, strict=True)
            others = tuple(label if kind.dense else other for kind, label, other in trios)
            share = tall * wide / (height * width)
        else:
            mixed_BCHW = torch.lerp(x_BCHW, other_BCHW, share)
        return Lesson(mixed_BCHW, labels, (share, others))


def _pasted(values: torch.Tensor, others: torch.Tensor, box: tuple[Any, ...]) -> torch.Tensor:
    """`values` with the box of `others`; last axes H×W."""
    result = values.clone()
    result[box] = others[box]
    return result
