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
from stages.methods.pil import HeadsTraining
from stages.models.linear import LinearInducement
from stages.train.resuming import TrainingState
from stages.train.trained import Trained


def train_linear(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
    kept: TrainingState | None = None,
) -> Trained:
    """Train the heads for `surrogate_epochs` passes; the arguments are those of `train_generator`.

    The state is kept from pass to pass.

    Raises:
        GeneratorError: a loss is not finite.
    """
    started, settings, kept = time.monotonic(), plan.train, kept or TrainingState()
    rng = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = to_device(LinearInducement(plan.spec), device)
    heads = HeadsTraining(network, table, device, rng, settings)
    if (state := kept.load()) is not None:
        heads.load_state_dict(state["heads"])
        rng.set_state(state["rng"])
    heads.run(report, lambda: kept.save(lambda: {"heads": heads.state_dict(), "rng": rng.get_state()}))
    for epoch, loss in enumerate(heads.losses):
        if not math.isfinite(loss):
            raise GeneratorError(f"train: the loss is not finite in epoch {epoch + 1}: nothing was published")
    steps = settings.surrogate_epochs * -(-len(table) // settings.batch_size)
    return Trained(network.cpu(), steps, time.monotonic() - started, [{"base": loss} for loss in heads.losses])
