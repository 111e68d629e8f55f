"""Training of the linear heads that induce a perturbation: clean images, shifted, and Adam."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from schemas.errors import GeneratorError
from schemas.plans import TrainPlan
from stages.learning.augment import augment_with_labels
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import ImageTable
from stages.models.linear import LinearInducement
from stages.train.trained import Trained


def train_linear(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
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
    optimisation = Optimisation(network.parameters(), epochs=settings.surrogate_epochs)
    losses, steps = [], 0
    for epoch in range(settings.surrogate_epochs):
        total, count = 0.0, 0
        for batch in table.batches(settings.batch_size, rng, device):
            optimisation.clear()
            found = network.losses(
                *augment_with_labels(batch.x_BCHW, batch.labels, network.kinds, settings.augment, rng)
            )
            if found:
                loss = torch.stack(found).mean()
                loss.backward()
                optimisation.step()
                total, count = total + float(loss.detach()), count + 1
        optimisation.end_epoch()
        steps += count
        losses.append({"base": total / max(1, count)})
        if not torch.isfinite(torch.tensor(total)):
            raise GeneratorError(f"train: the loss is not finite in epoch {epoch + 1}: nothing was published")
        report("linear", epoch + 1, settings.surrogate_epochs)
    return Trained(network.cpu().eval().requires_grad_(False), steps, time.monotonic() - started, losses)
