"""Training of the surrogates of EM, TAP and SEP per sample: as the methods train them for the generator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from schemas.plans import TrainPlan
from stages.learning.optimise import to_device
from stages.learning.table import ImageTable
from stages.methods.base import Context
from stages.methods.registry import METHODS
from stages.models.per_sample import PerSample
from stages.networks.multitask import MultiTaskModel
from stages.tasks.registry import kinds_of
from stages.train.resuming import TrainingState
from stages.train.trained import Trained


def train_per_sample(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
    kept: TrainingState | None = None,
) -> Trained:
    """Train the surrogates; the arguments are those of `train_generator`.

    TAP and SEP learn them on clean images, EM on images that are perturbed against them, `epochs` times a few steps.
    The state is kept from pass to pass.
    """
    started, settings, kept = time.monotonic(), plan.train, kept or TrainingState()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = to_device(PerSample(plan.spec), device)
        context = Context(
            settings=settings,
            table=table,
            generator=network,
            kinds=kinds_of(plan.tasks),
            protected=plan.protected,
            device=device,
            rng=torch.Generator().manual_seed(settings.seed),
            report=report,
        )
        method, done = METHODS[settings.perturber.removesuffix("-sample")](), 0
        adversarial = network.steps.adversarial
        steps = settings.surrogate_epochs if adversarial else settings.epochs

        def keep() -> None:
            kept.save(lambda: {"method": method.state_dict(), "done": done, "rng": context.rng.get_state()})

        context.checkpoint = keep
        if (state := kept.load()) is not None:
            method.load_state_dict(context, state["method"])
            done = state["done"]
            context.rng.set_state(state["rng"])
        if adversarial or state is None:
            method.prepare(context)
        if not adversarial:
            network.surrogates = nn.ModuleList(method.models)
            while done < steps:
                method.before_pass(context, done)
                done += 1
                report("surrogate", done, steps)
                keep()
        trained = PerSample(plan.spec)
    for surrogate, learned in zip(trained.surrogates, method.models, strict=True):
        learned.weighting = cast(MultiTaskModel, surrogate).weighting  # it played its part
        surrogate.load_state_dict(learned.state_dict())
    return Trained(trained.eval().requires_grad_(False), steps, time.monotonic() - started, [])
