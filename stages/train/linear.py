"""Training of the linear heads that induce a perturbation: clean images, shifted, and Adam."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from schemas.errors import GeneratorError
from schemas.plans import TrainPlan
from stages.learning.optimise import to_device
from stages.learning.table import ImageTable
from stages.methods.pil import learn_heads
from stages.models.linear import LinearInducement
from stages.train.resuming import Kept
from stages.train.trained import Trained


def train_linear(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
    kept: Kept | None = None,
) -> Trained:
    """Train the heads for `surrogate_epochs` passes; the arguments are those of `train_generator`.

    Raises:
        GeneratorError: a loss is not finite.
    """
    started, settings = time.monotonic(), plan.train
    rng = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = to_device(LinearInducement(plan.spec), device)
    losses = learn_heads(
        network,
        table,
        device,
        rng,
        epochs=settings.surrogate_epochs,
        batch_size=settings.batch_size,
        augmentation=list(settings.augment),
        report=report,
    )
    for epoch, loss in enumerate(losses):
        if not math.isfinite(loss):
            raise GeneratorError(f"train: the loss is not finite in epoch {epoch + 1}: nothing was published")
    steps = settings.surrogate_epochs * -(-len(table) // settings.batch_size)
    return Trained(network.cpu(), steps, time.monotonic() - started, [{"base": loss} for loss in losses])
