"""The multi-task model of surrogates and victims: shared backbone, one shared layer, one head a task.

Shapes: B images, C channels, H×W pixels, F features, h×w feature maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from stages.learning.weightings.base import Weighting
from stages.learning.weightings.equal import Equal
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
        weighting: how the tasks' losses become one step's gradients; None: equal weights.
    """

    def __init__(
        self,
        backbone: str,
        *,
        width: int,
        kinds: Sequence[TaskKind],
        resolution: int,
        weighting: Weighting | None = None,
    ) -> None:
        super().__init__()
        self.backbone = BACKBONES[backbone](width=width, resolution=resolution)
        self.shared = nn.Sequential(nn.Linear(self.backbone.features, SHARED_UNITS), nn.ELU())
        self.heads = nn.ModuleList(kind.head(SHARED_UNITS) for kind in kinds)
        self.weighting = weighting or Equal(len(kinds), torch.Generator())

    def forward(self, x_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """Images in [0, 1], B×3×H×W, to one output a task."""
        return self.heads_of(self.shared_features(x_BCHW))

    def shared_features(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1], B×3×H×W, to what all heads see, B×256."""
        maps_BFhw = self.backbone((x_BCHW - 0.5) / 0.25)
        features: torch.Tensor = self.shared(maps_BFhw.mean(dim=(2, 3)))
        return features

    def heads_of(self, features: torch.Tensor) -> list[torch.Tensor]:
        """The shared features to one output a task."""
        return [head(features) for head in self.heads]


def task_losses(
    outputs: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    kinds: Sequence[TaskKind],
    active: Sequence[bool] | None = None,
) -> dict[int, torch.Tensor]:
    """Task, 0..K-1 → its loss over its labelled samples; tasks without one in the batch are left out.

    Args:
        outputs: of each task's head.
        labels: of each task, first axis B.
        kinds: K tasks.
        active: which tasks count; all by default.
    """
    losses = {}
    for number, (output, label, kind) in enumerate(zip(outputs, labels, kinds, strict=True)):
        loss = kind.loss(output, label) if active is None or active[number] else None
        if loss is not None:
            losses[number] = loss
    return losses


def mean_loss(
    outputs: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    kinds: Sequence[TaskKind],
    active: Sequence[bool] | None = None,
) -> torch.Tensor:
    """The mean of `task_losses`; where there are none, a zero that can be stepped."""
    losses = task_losses(outputs, labels, kinds, active)
    return torch.stack(list(losses.values())).mean() if losses else outputs[0].sum() * 0


def accumulate_gradients(
    model: MultiTaskModel,
    x_BCHW: torch.Tensor,
    labels: Sequence[torch.Tensor],
    kinds: Sequence[TaskKind],
    mixed: tuple[float, Sequence[torch.Tensor]] | None = None,
) -> None:
    """Add the gradients of one step on a batch to the model's parameters, as its weighting has them.

    Args:
        model: in train mode.
        x_BCHW: images in [0, 1], B×3×H×W.
        labels: of each task, first axis B.
        kinds: K tasks.
        mixed: share in 0..1 and labels of images that were mixed into these; their losses count by that share.
    """
    features = model.shared_features(x_BCHW)
    outputs = model.heads_of(features)
    losses = task_losses(outputs, labels, kinds)
    if mixed is not None:
        share, others = mixed[0], task_losses(outputs, mixed[1], kinds)
        losses = {number: (1 - share) * loss for number, loss in losses.items()}
        losses |= {number: losses.get(number, 0) + share * loss for number, loss in others.items()}
    if losses:
        model.weighting.backward(losses, features)
    else:
        (outputs[0].sum() * 0).backward()
