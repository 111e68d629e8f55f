"""Training of the generator: one loop for every base method.

L = L_base + λ1·L_intra + λ2·L_inter        (docs/method.md)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from schemas.config import Train
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import ImageTable
from stages.methods.base import BaseMethod, Context
from stages.methods.em import ErrorMinimising
from stages.methods.regularisers import embedding_regularisers
from stages.methods.tap import TargetedPoisoning
from stages.models.generator import Generator

GENERATOR_LEARNING_RATE = 2e-3
"""Twice the paper's: on scenes at 32 px, 228 steps of TAP leave a victim 23 %, at chance."""

GENERATOR_DROPS = (0.75, 0.9)
"""Later than the paper's (0.6, 0.8): a run of few steps must not stop learning at half."""

METHODS: dict[str, type[BaseMethod]] = {"em": ErrorMinimising, "tap": TargetedPoisoning}


@dataclass(frozen=True)
class Trained:
    """A trained generator (in eval mode, on the CPU) and how it went."""

    generator: Generator
    steps: int
    seconds: float
    losses: list[dict[str, float]]
    """Mean of base, intra and inter loss per epoch."""


def train_generator(
    table: ImageTable,
    settings: Train,
    *,
    class_counts: list[int],
    protected: list[bool],
    epsilon: float,
    device: torch.device,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Trained:
    """Train a generator on a table of images at the canonical resolution.

    Args:
        table: images R×R with R = `settings.resolution`, labels of K tasks.
        class_counts: C_k per task.
        protected: per task, whether it becomes unlearnable.
        epsilon: ε in [0, 1] units.
        device: where to train; the result comes back on the CPU.
        report: called with (what, done, total).

    The same table, settings and number of threads give the same weights.
    """
    started = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # initial weights; everything later draws from `rng`
        generator = Generator(
            settings.generator,
            class_counts=class_counts,
            protected=protected,
            resolution=settings.resolution,
            epsilon=epsilon,
        )
        to_device(generator, device)
        context = Context(
            settings=settings,
            table=table,
            generator=generator,
            class_counts=class_counts,
            protected=protected,
            device=device,
            rng=torch.Generator().manual_seed(settings.seed),
            report=report,
        )
        method = METHODS[settings.method]()
        method.prepare(context)
        optimisation = Optimisation(
            generator.parameters(), epochs=settings.epochs, drops=GENERATOR_DROPS, learning_rate=GENERATOR_LEARNING_RATE
        )
        losses, steps = [], 0
        for epoch in range(settings.epochs):
            method.before_pass(context, epoch)
            generator.train()
            sums = torch.zeros(3)
            count = 0
            for batch in context.batches():
                base = method.loss(context, batch)
                intra, inter = embedding_regularisers(list(generator.embeddings))
                optimisation.step(base + settings.lambda_intra * intra + settings.lambda_inter * inter)
                sums += torch.stack([base, intra, inter]).detach().cpu()
                count += 1
            optimisation.end_epoch()
            steps += count
            losses.append(dict(zip(("base", "intra", "inter"), (sums / count).tolist(), strict=True)))
            report("generator", epoch + 1, settings.epochs)
    return Trained(generator.cpu().eval(), steps, time.monotonic() - started, losses)
