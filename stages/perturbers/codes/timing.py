"""How long the training of class codes takes: its rounds go to unlike networks, so each kind of them is timed."""

from __future__ import annotations

from collections.abc import Callable

import torch

from schemas.plans import TrainPlan
from stages.learning.optimise import to_device
from stages.learning.table import ImageTable
from stages.learning.threads import clock, threads
from stages.networks.pool import POOL, PoolNetwork
from stages.perturbers.codes.training import CODE_STEPS, CodeTraining, threads_for
from stages.perturbers.generator.methods.fresh import NETWORK_STEPS, steps_of

TIMED_STEPS = 2
"""Steps that are timed, after one that prepares kernels."""


def training_seconds(table: ImageTable, plan: TrainPlan, device: torch.device) -> float:
    """All rounds, by a few steps of each kind of network and of the codes; any number of images takes as long."""
    learned = steps_of(sum(NETWORK_STEPS) / 2, sum(plan.protected))
    with torch.random.fork_rng(devices=[]), threads(threads_for(plan, device)):
        training = CodeTraining(table, plan, device)
        names = list(POOL)[: plan.train.rounds]
        rounds = [_round_seconds(training, name, learned) for name in names]
    return sum(rounds) / len(rounds) * plan.train.rounds


def _round_seconds(training: CodeTraining, name: str, learned: int) -> float:
    network = to_device(PoolNetwork(name, training.kinds), training.device).train()
    adam = torch.optim.Adam(network.parameters(), lr=network.learning_rate)

    def learn() -> None:
        adam.zero_grad(set_to_none=True)
        training.network_loss(network).backward()
        adam.step()

    each = _step_seconds(learn)
    network.eval().requires_grad_(False)
    return learned * each + CODE_STEPS * _step_seconds(lambda: training.step(network))


def _step_seconds(step: Callable[[], object]) -> float:
    step()
    started = clock()
    for _ in range(TIMED_STEPS):
        step()
    return (clock() - started) / TIMED_STEPS
