"""The multi-task model of surrogates and victims: shared backbone, one shared layer, one head a task.

The answers of heads that are one linear layer each are computed together, as one matrix product.

Shapes: B images, C channels, H×W pixels, F features, h×w feature maps, U shared units, K heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from stages.learning.weightings import Equal, Weighting
from stages.networks.backbones.architectures import BACKBONES
from stages.tasks.task_kind import TaskKind


def answers_of(heads: Sequence[nn.Module], seen_BF: torch.Tensor) -> list[torch.Tensor]:
    """One output a head, as each gives by itself: forty products with few columns take far longer than one.

    The gradient of a head that no loss looks at is then zero instead of none.
    """
    linear = [head for head in heads if type(head) is nn.Linear]
    given: list[torch.Tensor | None] = [head.bias for head in linear]
    biases = [bias for bias in given if bias is not None]
    if len(linear) < 2 or 0 < len(biases) < len(linear):
        return [head(seen_BF) for head in heads]
    weights = torch.cat([head.weight for head in linear])
    outputs_BO = functional.linear(seen_BF, weights, torch.cat(biases) if biases else None)
    parts = iter(outputs_BO.split([head.out_features for head in linear], dim=1))
    return [next(parts) if type(head) is nn.Linear else head(seen_BF) for head in heads]


def is_frozen(network: nn.Module) -> bool:
    """Whether no weight of a network learns."""
    return not any(parameter.requires_grad for parameter in network.parameters())


SHARED_UNITS = 256


class Features(NamedTuple):
    """What the heads of a model see of a batch."""

    maps_BFhw: torch.Tensor
    """For heads of dense tasks."""
    shared_BU: torch.Tensor
    """For all others."""
    size: tuple[int, int]
    """H×W, to which dense outputs are brought."""


class MultiTaskModel(nn.Module):
    """Hard parameter sharing: backbone → mean over places → 256 ELU units → one head a task.

    Heads of dense tasks see the backbone's maps; their outputs are brought to the images' size (bilinear).

    Args:
        backbone: a name in `BACKBONES`.
        width: channels of the backbone's first stage.
        kinds: K tasks.
        resolution: side of the images in pixels.
        weighting: how the tasks' losses become one step's gradients; None: equal weights.
        size: share of the side at which the backbone sees the images (bilinear with antialiasing).
    """

    def __init__(
        self,
        backbone: str,
        *,
        width: int,
        kinds: Sequence[TaskKind],
        resolution: int,
        weighting: Weighting | None = None,
        size: float = 1.0,
    ) -> None:
        super().__init__()
        self.size = size
        self.backbone = BACKBONES[backbone](width=width, resolution=round(size * resolution))
        self.dense = [kind.dense for kind in kinds]
        self.shared = (
            nn.Identity()  # nothing that learns would look at it
            if all(self.dense)
            else nn.Sequential(nn.Linear(self.backbone.features, SHARED_UNITS), nn.ELU())
        )
        self.heads = nn.ModuleList(kind.head(self.backbone.features if kind.dense else SHARED_UNITS) for kind in kinds)
        self.weighting = weighting or Equal(len(kinds), torch.Generator())

    def forward(self, x_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """Images in [0, 1], B×3×H×W, to one output a task."""
        return self.heads_of(self.features_of(x_BCHW))

    def features_of(self, x_BCHW: torch.Tensor) -> Features:
        """Images in [0, 1], B×3×H×W, to what the heads see."""
        height, width = x_BCHW.shape[-2:]
        if self.size != 1:
            seen = (round(self.size * height), round(self.size * width))
            x_BCHW = functional.interpolate(x_BCHW, size=seen, mode="bilinear", antialias=True)
        maps_BFhw = self.backbone((x_BCHW - 0.5) / 0.25)
        return Features(maps_BFhw, self.shared(maps_BFhw.mean(dim=(2, 3))), (height, width))

    def heads_of(self, features: Features) -> list[torch.Tensor]:
        """What the heads see to one output a task."""
        pairs = list(zip(self.heads, self.dense, strict=True))
        seeing = [head for head, dense in pairs if not dense]
        # A head that learns is asked by itself: one that no loss looks at must get no gradient (`Weighting.backward`).
        frozen = is_frozen(self.heads)
        others = iter(
            answers_of(seeing, features.shared_BU) if frozen else [head(features.shared_BU) for head in seeing]
        )
        return [resized(head(features.maps_BFhw), features.size) if dense else next(others) for head, dense in pairs]

    def common(self, features: Features) -> torch.Tensor:
        """Of what the heads see, the part from which all outputs are computed."""
        return features.maps_BFhw if any(self.dense) else features.shared_BU


def resized(output_BChw: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A dense output at the images' size."""
    if output_BChw.shape[-2:] == size:
        return output_BChw
    return functional.interpolate(output_BChw, size=size, mode="bilinear", align_corners=False)


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
    alike: dict[type[TaskKind], list[int]] = {}
    for number, kind in enumerate(kinds):
        if active is None or active[number]:
            alike.setdefault(type(kind), []).append(number)
    found: dict[int, torch.Tensor] = {}
    for group, numbers in alike.items():
        of_group = [kinds[number] for number in numbers]
        losses = group.losses(of_group, [outputs[number] for number in numbers], [labels[number] for number in numbers])
        found |= {number: loss for number, loss in zip(numbers, losses, strict=True) if loss is not None}
    return dict(sorted(found.items()))


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
) -> torch.Tensor:
    """Add the gradients of one step on a batch to the model's parameters, as its weighting has them.

    Returns the mean of the tasks' losses; 0 where no task has a label.

    Args:
        model: in train mode.
        x_BCHW: images in [0, 1], B×3×H×W.
        labels: of each task, first axis B.
        kinds: K tasks.
        mixed: share in 0..1 and labels of images that were mixed into these; their losses count by that share.
    """
    features = model.features_of(x_BCHW)
    outputs = model.heads_of(features)
    losses = task_losses(outputs, labels, kinds)
    if mixed is not None:
        share, others = mixed[0], task_losses(outputs, mixed[1], kinds)
        losses = {number: (1 - share) * loss for number, loss in losses.items()}
        losses |= {number: losses.get(number, 0) + share * loss for number, loss in others.items()}
    if losses:
        model.weighting.backward(losses, model.common(features))
        return torch.stack(list(losses.values())).detach().mean()
    nothing = outputs[0].sum() * 0
    nothing.backward()
    return nothing.detach()
