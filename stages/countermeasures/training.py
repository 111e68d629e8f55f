"""Countermeasures that change how the victim learns: adversarial steps, augmentation, mixing, pretrained weights.

Features that were learned on other data know no shortcut of this dataset. To learn on top of them is an attacker's
cheapest way around it. Such a victim is fine-tuned as a whole, or frozen below its heads. The weights come from a local
file (`audit.pretrained`); nothing is downloaded. The control starts from them too, and learns from clean data.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from stages.countermeasures.countermeasure import Countermeasure, Lesson
from stages.learning.augment import augment_with_labels
from stages.learning.table import Batch
from stages.networks.multitask import MultiTaskModel, mean_loss
from stages.tasks.task_kind import TaskKind
from stages.transforms.movement import Window


@dataclass(frozen=True)
class Pretrained(Countermeasure):
    """The victim has weights before its first step."""

    freeze: bool = False
    """Whether the backbone, its batch statistics too, stays as it is."""

    @property
    def needs_weights(self) -> bool:
        """Always."""
        return True

    def begin_epoch(self, model: MultiTaskModel, progress: float = 0.0) -> None:
        """In train mode; a frozen backbone neither learns nor counts."""
        model.train()
        if self.freeze:
            model.backbone.requires_grad_(False).eval()


@dataclass(frozen=True)
class Adversarial(Countermeasure):
    """Every batch is moved against the model before the model learns from it.

    Madry et al., ICLR 2018. Projected gradient descent on the loss within ‖·‖∞ ≤ r from a random start, then a step of
    the model on the result. A shortcut that fits into r is drowned: the classic defence of the literature on
    unlearnable examples (Huang et al., 2021; Fu et al., 2022). Here 3 steps of r/2, every batch; gradients of all
    tasks' mean loss.

    The radius grows from 0 to r over the first third of the training, and the attack sees the victim in evaluation
    mode. Without either a thin victim learns nothing from clean images, so its failing on protected ones would prove
    nothing.
    """

    radius: float
    """r in [0, 1] units."""
    steps: int = 3
    ramp: float = 1 / 3
    """Share of the training over which the radius grows to r."""

    @property
    def cost(self) -> float:
        """A pass forward and back for each step, and the victim's own."""
        return self.steps + 1.0

    def lesson(
        self,
        model: MultiTaskModel,
        batch: Batch,
        kinds: Sequence[TaskKind],
        augments: Sequence[str],
        rng: torch.Generator,
        progress: float = 1.0,
    ) -> Lesson:
        """The worst images that the steps find, inside [0, 1]; the victim learns from them in train mode."""
        x_BCHW, labels = augment_with_labels(batch.x_BCHW, batch.labels, kinds, augments, rng)
        radius = self.radius * min(1.0, progress / self.ramp)
        start_BCHW = torch.rand(x_BCHW.shape, generator=rng).to(x_BCHW)
        moved_BCHW = (x_BCHW + radius * (2 * start_BCHW - 1)).clamp(0, 1)
        training = model.training
        model.eval()
        for _ in range(self.steps):
            moved_BCHW.requires_grad_()
            loss = mean_loss(model(moved_BCHW), labels, kinds)
            (gradient_BCHW,) = torch.autograd.grad(loss, moved_BCHW)
            away_BCHW = moved_BCHW.detach() + radius / 2 * gradient_BCHW.sign()
            moved_BCHW = torch.clamp(away_BCHW, x_BCHW - radius, x_BCHW + radius).clamp(0, 1)
        model.train(training)
        return Lesson(moved_BCHW.detach(), labels)


JITTER = 0.4
"""Furthest that a factor of brightness, contrast or saturation lies from 1."""

SMALLEST_WINDOW = 0.4
"""Share of the area that jitter's crop keeps at least."""

OCTAVES = 4
"""Layers of a plasma, each twice as fine and half as strong as the one before."""


@dataclass(frozen=True)
class Augmenting(Countermeasure):
    """One more change of the images of every batch, after the usual augmentation.

    - jitter: a random window of 40–100 % of the area, brightness, contrast and saturation by factors 0.6–1.4.
      SimCLR has these (Chen et al., ICML 2020).
    - cutout: a gray square of half the side (DeVries, Taylor, 2017).
    - ueraser: plasma brightness and contrast from a random fractal map, and a random order of the channels. UEraser
      (Qin et al., 2023, "Learning the unlearnable") has these; here without its search for the worst draw.
    """

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


@dataclass(frozen=True)
class Mixing(Countermeasure):
    """Each image of a batch is mixed with another of it.

    Mixing of images: mixup and CutMix, which the shortcut of a class has to share with another class's.

    mixup (Zhang et al., ICLR 2018): x = (1 − s)·x + s·x', s from Beta(1, 1). CutMix (Yun et al., ICCV 2019): a box of
    the other image, of the share s of its area. The loss is mixed in the same shares. In CutMix a label with a value
    per pixel gets the other's box instead (French et al., BMVC 2020). One s a batch. Both are in APBench (Qin et al.,
    2023).
    """

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


@dataclass(frozen=True)
class Staged(Countermeasure):
    """At progress p the first share p of the backbone's layers stays as it is; the heads learn to the end.

    Progressive staged training: the victim's shallow layers stop learning before its deep ones.

    After "Flew Over Learning Trap: Learn Unlearnable Samples by Progressive Staged Training" (arXiv 2306.02064): early
    in a training a model learns the images and the perturbation alike. Then its shallow layers turn to the perturbation
    alone. Here layers stop one after the other, the first ones after one pass and the last ones at the end of the
    training.
    """

    def begin_epoch(self, model: MultiTaskModel, progress: float = 0.0) -> None:
        """In train mode, so that batch statistics go on; the first layers learn no more."""
        model.train()
        layers = learning_layers(model.backbone)
        for number, layer in enumerate(layers):
            layer.requires_grad_(number >= int(progress * len(layers)))


def learning_layers(network: nn.Module) -> list[nn.Module]:
    """The modules that have parameters of their own, from the images on."""
    return [module for module in network.modules() if any(True for _ in module.parameters(recurse=False))]
