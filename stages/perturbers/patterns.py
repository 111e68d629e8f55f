"""Patterns without a surrogate: controls that any training must beat. Each fills class codes at random.

floor  independent values of -1 or 1 per pixel, channel, task and class: what consistency within a class gives alone
lsp    linearly separable patches (Yu et al., KDD 2022): a random colour for each square of 8 pixels
ar     autoregressive patterns (Sandoval-Segura et al., NeurIPS 2022): each value is a random combination of its
       neighbours above and to the left, so that a small convolution separates the classes

The originals have one task. Here the codes of several tasks are added and cut (floor). Or each task has its own part of
the picture (lsp, ar), where its pattern has the whole ±ε. AR's authors draw a pattern for each image from its class's
coefficients; here all images of a class share one draw.

Shapes: C classes, R canonical resolution, K tasks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch.nn import functional

from schemas.errors import GeneratorError
from schemas.plans import TrainPlan
from stages.learning.table import ImageTable
from stages.perturbers.codes import ClassCodes
from stages.perturbers.training import Report, Trained, TrainingState, unheard
from stages.tasks.task_kind import LabelEmbedding

PATCH = 8
"""Side in pixels of LSP's squares."""

WINDOW = 3
"""Side of AR's neighbourhood."""

DRAWS, STEADY = 50, 0.7
"""Times that AR's coefficients are drawn at most, and the logarithm of a growth that is taken."""


def floor_maps(classes: int, side: int, rng: torch.Generator) -> torch.Tensor:
    """C×3×R×R of -1 and 1."""
    return torch.randint(0, 2, (classes, 3, side, side), generator=rng).float() * 2 - 1


def patch_maps(classes: int, side: int, rng: torch.Generator) -> torch.Tensor:
    """C×3×R×R, constant in squares, in [-1, 1]."""
    cells = -(-side // PATCH)
    colours = torch.randn(classes, 3, cells, cells, generator=rng)
    return functional.interpolate(colours, scale_factor=PATCH, mode="nearest")[:, :, :side, :side].clamp(-1, 1)


def autoregressive_maps(classes: int, side: int, rng: torch.Generator) -> torch.Tensor:
    """C×3×R×R in [-1, 1], each plane scaled to its greatest value.

    Coefficients are drawn until the pattern neither dies nor grows from its first to its last rows; after `DRAWS` the
    best ones are taken.
    """
    planes = _recursion(classes * 3, side, rng)
    for _ in range(DRAWS):
        unsteady = _unsteadiness(planes) > STEADY
        if not bool(unsteady.any()):
            break
        again = _recursion(int(unsteady.sum()), side, rng)
        better = _unsteadiness(again) < _unsteadiness(planes[unsteady])
        planes[unsteady] = torch.where(better[:, None, None], again, planes[unsteady])
    scaled = planes / planes.abs().amax(dim=(1, 2), keepdim=True)
    return scaled.reshape(classes, 3, side, side)


def _recursion(count: int, side: int, rng: torch.Generator) -> torch.Tensor:
    """Planes R×R: from random first rows and columns on, each value is the combination of its window, no more."""
    weights = functional.normalize(torch.randn(count, WINDOW * WINDOW - 1, generator=rng))
    planes = torch.randn(count, side, side, generator=rng)
    for y in range(WINDOW - 1, side):
        for x in range(WINDOW - 1, side):
            window = planes[:, y - WINDOW + 1 : y + 1, x - WINDOW + 1 : x + 1].flatten(1)[:, :-1]
            planes[:, y, x] = (weights * window).sum(dim=1)
    return planes


def _unsteadiness(planes: torch.Tensor) -> torch.Tensor:
    """How far each plane's last quarter lies above or below its first, as the logarithm of their deviations."""
    part = planes.shape[1] // 4
    ratios = planes[:, -part:].flatten(1).std(dim=1) / planes[:, :part].flatten(1).std(dim=1)
    return ratios.log().abs().nan_to_num(nan=torch.inf)


PATTERNS: dict[str, tuple[Callable[[int, int, torch.Generator], torch.Tensor], bool]] = {
    "floor": (floor_maps, False),
    "lsp": (patch_maps, True),
    "ar": (autoregressive_maps, True),
}
"""Name → how the codes of one task are drawn, and whether each task has its own part of the picture."""


def draw_patterns(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Report = unheard,
    kept: TrainingState | None = None,
) -> Trained:
    """Fill class codes at random; the arguments are those of `train_generator`, of which only plan and seed matter.

    Raises:
        GeneratorError: a task that is to be protected has no classes.
    """
    started = time.monotonic()
    draw, divided = PATTERNS[plan.train.perturber]
    rng = torch.Generator().manual_seed(plan.train.seed)
    with torch.random.fork_rng(devices=[]):
        codes = ClassCodes(plan.spec)
    places = parts(plan.train.resolution, len(codes.embeddings)) if divided else []
    with torch.no_grad():
        for turn, (number, embedding) in enumerate(codes.embeddings.items()):
            maps = cast(LabelEmbedding, embedding).table
            if maps is None:
                raise GeneratorError(
                    f"train.perturber {plan.train.perturber!r} needs classes, and task "
                    f"{plan.tasks[int(number)].name!r} has none; leave it out of protection.tasks, or train another"
                )
            maps.copy_(draw(len(maps), plan.train.resolution, rng))
            if divided:
                maps.mul_(places[turn])
    return Trained(codes.eval(), 0, time.monotonic() - started, [])


def parts(side: int, count: int) -> list[torch.Tensor]:
    """Masks R×R of 0 and 1 that divide a picture into `count` rectangles in rows of about equal number.

    Example:
        >>> [int(mask.sum()) for mask in parts(8, 3)]
        [16, 16, 32]
    """
    rows = np.array_split(np.arange(count), round(math.sqrt(count)))
    masks = []
    for row, inside in enumerate(rows):
        top, bottom = side * row // len(rows), side * (row + 1) // len(rows)
        for column in range(len(inside)):
            mask = torch.zeros(side, side)
            mask[top:bottom, side * column // len(inside) : side * (column + 1) // len(inside)] = 1
            masks.append(mask)
    return masks
