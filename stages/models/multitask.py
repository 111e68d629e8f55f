"""The multi-task model of surrogates and victims: shared backbone, one shared layer, one head a task.

Shapes: B images, C channels, H×W pixels, F features, h×w feature maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from stages.models.backbones.registry import BACKBONES
from stages.tasks.base import TaskKind

SHARED_UNITS = 256


class MultiTaskModel(nn.Module):
    """Hard parameter sharing: backbone → mean over places → 256 ELU units → one head a task.

    Args:
        backbone: a name in `BACKBONES`.
        width: channels of the backbone's first stage.
        kinds: K tasks.
        resolution: side of the images in pixels.
    """

    def __init__(self, backbone: str, *, width: int, kinds: Sequence[TaskKind], resolution: int) -> None:
        super().__init__()
        self.backbone = BACKBONES[backbone](width=width, resolution=resolution)
        self.shared = nn.Sequential(nn.Linear(self.backbone.features, SHARED_UNITS), nn.ELU())
        self.heads = nn.ModuleList(kind.head(SHARED_UNITS) for kind in kinds)

    def forward(self, x_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """Images in [0, 1], B×3×H×W, to one output a task."""
        maps_BFhw = self.backbone((x_BCHW - 0.5) / 0.25)
        shared = self.shared(maps_BFhw.mean(dim=(2, 3)))
        return [head(shared) for head in self.heads]


def task_losses(
    outputs: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    kinds: Sequence[TaskKind],
    active: Sequence[bool] | None = None,
) -> list[torch.Tensor]:
    """The loss of each task over its labelled samples; tasks without one in the batch are left out.

    Args:
        outputs: of each task's head.
        labels: of each task, first axis B.
        kinds: K tasks.
        active: which tasks count; all by default.
    """
    losses = []
    for number, (output, label, kind) in enumerate(zip(outputs, labels, kinds, strict=True)):
        loss = kind.loss(output, label) if active is None or active[number] else None
        if loss is not None:
            losses.append(loss)
    return losses or [outputs[0].sum() * 0]


def mean_loss(
    outputs: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    kinds: Sequence[TaskKind],
    active: Sequence[bool] | None = None,
) -> torch.Tensor:
    """The mean of `task_losses`."""
    return torch.stack(task_losses(outputs, labels, kinds, active)).mean()
