"""The usual augmentation: a random shift (crop after padding) and a horizontal flip, for surrogates and victims.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stages.tasks.task_kind import TaskKind
from stages.transforms.movement import Shift


def augment(x_BCHW: torch.Tensor, names: Sequence[str], rng: torch.Generator) -> torch.Tensor:
    """Shift every image by up to H/8 pixels (`crop`, zero padding) and mirror half of them (`flip`).

    Differentiable. A flip moves what lies left to the right: leave it out where a task speaks of sides.

    Args:
        x_BCHW: any range.
        names: of `crop` and `flip`.
        rng: CPU generator; the only source of randomness.
    """
    return Shift.drawn(len(x_BCHW), x_BCHW.shape[-1], names, rng).of(x_BCHW)


def augment_with_labels(
    x_BCHW: torch.Tensor,
    labels: Sequence[torch.Tensor],
    kinds: Sequence[TaskKind],
    names: Sequence[str],
    rng: torch.Generator,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """`augment` of images, and their labels moved with them, as each kind has it."""
    movement = Shift.drawn(len(x_BCHW), x_BCHW.shape[-1], names, rng)
    moved = tuple(kind.moved(label, movement) for kind, label in zip(kinds, labels, strict=True))
    return movement.of(x_BCHW), moved
