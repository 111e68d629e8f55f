"""The multi-task model of surrogates and victims: shared backbone, one shared layer, one linear head a task.

Shapes: B images, C channels, H×W pixels, K tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from schemas.tasks import MISSING
from stages.models.backbones.resnet import BACKBONES

SHARED_UNITS = 256


class MultiTaskModel(nn.Module):
    """Hard parameter sharing: backbone → 256 ELU units → one linear head a task.

    Args:
        backbone: a name in `BACKBONES`.
        width: channels of the backbone's first stage.
        class_counts: C_k of each task.
        resolution: side of the images in pixels.
    """

    def __init__(self, backbone: str, *, width: int, class_counts: Sequence[int], resolution: int) -> None:
        super().__init__()
        self.backbone = BACKBONES[backbone](width=width, resolution=resolution)
        self.shared = nn.Sequential(nn.Linear(self.backbone.features, SHARED_UNITS), nn.ELU())
        self.heads = nn.ModuleList(nn.Linear(SHARED_UNITS, count) for count in class_counts)

    def forward(self, x_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """Images in [0, 1], B×3×H×W, to K tensors of logits, B×C_k."""
        shared = self.shared(self.backbone((x_BCHW - 0.5) / 0.25))
        return [head(shared) for head in self.heads]


def multi_task_loss(
    logits: Sequence[torch.Tensor], labels_BK: torch.Tensor, active: Sequence[bool] | None = None
) -> torch.Tensor:
    """Cross-entropy averaged over the labelled samples of each task, then over tasks (equal weights, LS).

    Args:
        logits: K tensors B×C_k.
        labels_BK: int64 class indices; `MISSING` leaves the loss.
        active: which tasks count; all by default. Tasks without a labelled sample in the batch do not count.
    """
    losses = []
    for task, logits_BC in enumerate(logits):
        label_B = labels_BK[:, task]
        if (active is None or active[task]) and bool((label_B != MISSING).any()):
            losses.append(functional.cross_entropy(logits_BC, label_B, ignore_index=MISSING))
    if not losses:
        return logits[0].sum() * 0
    return torch.stack(losses).mean()
