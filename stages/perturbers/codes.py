"""Class codes: one learnable δ per task and class, added and cut; the same for every image of a class.

    δ = ε·clamp(Σ_k U^k[y^k], -1, 1)
    in rounds: a FRESH network F learns for a few steps on aug(x' + δ(y)) with labels y; then U steps down the same loss
    through the frozen F, with x' another sample's image, whose own evidence speaks against y

This is the shortest form of the paper's point that consistency within a class is what counts: no encoder, no decoder.
The code of a dense task is the same texture wherever a class lies. So each of several dense tasks has pixels of its
own: on common pixels the strongest would cut off the others.

A network that is trained longer, or kept from round to round, forgets the shortcut for the image. A fresh one asks what
every victim asks in its first steps. Swapped images make a code win against the image instead of helping it.

Shapes: B images, C channels, H×W pixels, R canonical resolution, K tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from schemas.errors import GeneratorError
from schemas.plans import GeneratorSpec, TrainPlan
from stages.learning.augment import augment_with_labels
from stages.learning.optimise import clock, threads, to_device
from stages.learning.table import Batch, ImageTable
from stages.networks.folding import folded
from stages.networks.multitask import mean_loss
from stages.networks.pool import POOL, PoolNetwork
from stages.perturbers.generator.methods.fresh import NETWORK_STEPS, SWAPPED_IN_LEARNING, fresh_network, steps_of
from stages.perturbers.label_sums import sum_of_chosen, with_neutral
from stages.perturbers.shape import shaped
from stages.perturbers.training import Report, Trained, TrainingState, unheard
from stages.tasks.kinds import kinds_of
from stages.tasks.task_kind import LabelEmbedding, TaskKind
from stages.transforms.differentiable import distorted

SPREAD = 0.5
"""Standard deviation of a code's values at the start, in units of ε."""


class ClassCodes(nn.Module):
    """Codes of the protected tasks at the canonical resolution; a task that is not to be protected has none.

    Args:
        spec: resolution R, ε, tasks and the shape of δ.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        kinds = kinds_of(spec.tasks)
        protected = [number for number, wanted in enumerate(spec.protected) if wanted]
        self.embeddings = nn.ModuleDict({str(number): kinds[number].codes(3, spec.resolution) for number in protected})
        self.dense = [str(number) for number in protected if kinds[number].dense]
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(SPREAD)

    def forward(self, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor) -> torch.Tensor:
        """Perturbation of a batch at the canonical resolution.

        Args:
            x_BCHW: B×3×R×R; only its size matters.
            labels: of each task, first axis B; a missing one adds the mean of the task's codes.
            gray_B: bool; these images get one δ for all channels.

        Returns:
            δ, B×3×R×R in [-ε, +ε].
        """
        # Published pixels are sums in the order of the tasks, whatever other images the batch has.
        code_BCHW = self._at_once(labels) if self.training and not self.dense else self._one_by_one(labels)
        return self.spec.epsilon * shaped(code_BCHW, gray_B, self.spec).clamp(-1, 1)

    def _at_once(self, labels: Sequence[torch.Tensor]) -> torch.Tensor:
        """The sum of the codes where every task has classes: of forty tasks in a tenth of the time."""
        pairs = [(cast(LabelEmbedding, each), labels[int(number)]) for number, each in self.embeddings.items()]
        return sum_of_chosen([with_neutral(each) for each, _ in pairs], [each.rows(label) for each, label in pairs])

    def _one_by_one(self, labels: Sequence[torch.Tensor]) -> torch.Tensor:
        codes = [embedding(labels[int(number)]) for number, embedding in self.embeddings.items()]
        if len(self.dense) > 1:
            codes = [self._in_own_pixels(*each) for each in zip(self.embeddings, codes, strict=True)]
        return torch.stack(codes).sum(dim=0)

    def _in_own_pixels(self, number: str, code_BCRR: torch.Tensor) -> torch.Tensor:
        """A dense task's code on every n-th diagonal, of n dense tasks; any other's everywhere."""
        if number not in self.dense:
            return code_BCRR
        steps_R = torch.arange(self.spec.resolution, device=code_BCRR.device)
        diagonals_RR = (steps_R[:, None] + steps_R) % len(self.dense)
        return code_BCRR * (diagonals_RR == self.dense.index(number))


LEARNING_RATE = 0.05
"""Of Adam, for codes in units of ε."""

CODE_STEPS = 48
"""Steps of the codes through each network."""

SMALL_SIDE = 64
"""Side in pixels up to which one thread trains on a CPU. With networks this small several threads wait for each other:
on a busy machine ten times as long as one thread needs."""


def train_codes(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Report = unheard,
    kept: TrainingState | None = None,
) -> Trained:
    """Train class codes on a table of images at the canonical resolution; the arguments are those of `train_generator`.

    The state is kept from round to round.

    Raises:
        GeneratorError: a loss is not finite.
    """
    started, kept = time.monotonic(), kept or TrainingState()
    with torch.random.fork_rng(devices=[]), threads(threads_for(plan, device)):
        training = CodeTraining(table, plan, device)
        if (state := kept.load()) is not None:
            training.load_state_dict(state)
        for number in range(len(training.losses), plan.train.rounds):
            training.run_round(number)
            kept.save(training.state_dict)
            report("codes", number + 1, plan.train.rounds, training.losses[-1])
    return Trained(training.codes.cpu().eval(), training.steps, time.monotonic() - started, training.losses)


def threads_for(plan: TrainPlan, device: torch.device) -> int:
    """Threads with which codes are trained."""
    small = device.type == "cpu" and plan.train.resolution <= SMALL_SIDE
    return 1 if small else torch.get_num_threads()


class CodeTraining:
    """One training of class codes, round by round."""

    def __init__(self, table: ImageTable, plan: TrainPlan, device: torch.device) -> None:
        self.table, self.plan, self.device = table, plan, device
        self.kinds: list[TaskKind] = kinds_of(plan.tasks)
        self.rng = torch.Generator().manual_seed(plan.train.seed)
        torch.manual_seed(plan.train.seed)
        self.codes = to_device(ClassCodes(plan.spec), device)
        self.adam = torch.optim.Adam(self.codes.parameters(), lr=LEARNING_RATE)
        self.steps = 0
        self.losses: list[dict[str, float]] = []

    def run_round(self, number: int) -> None:
        """A fresh network of the next kind, then the codes' steps through it."""
        network = folded(self.learned_network(list(POOL)[number % len(POOL)]))
        total = 0.0
        for _ in range(CODE_STEPS):
            total += self.step(network)
        self.steps += CODE_STEPS
        self.losses.append({"base": total / CODE_STEPS})
        if not torch.isfinite(torch.tensor(total)):
            raise GeneratorError(
                f"train: the loss is not finite in round {number + 1}: nothing was published; look for images or "
                "labels that are no numbers"
            )

    def step(self, network: PoolNetwork) -> float:
        """One step of the codes through a frozen network. Returns the loss."""
        batch = self.batch()
        hosts_B = torch.randperm(len(batch.x_BCHW), generator=self.rng).to(self.device)
        perturbed_BCHW = self.perturbed(batch.x_BCHW[hosts_B], batch.gray_B[hosts_B], batch.labels)
        loss = self.loss_of(network, perturbed_BCHW, batch.labels)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """All that another training of the same table and plan needs to go on after this round."""
        return {
            "steps": self.steps,
            "losses": self.losses,
            "codes": self.codes.state_dict(),
            "adam": self.adam.state_dict(),
            "rng": self.rng.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.steps, self.losses = state["steps"], list(state["losses"])
        self.codes.load_state_dict(state["codes"])
        self.adam.load_state_dict(state["adam"])
        self.rng.set_state(state["rng"])

    def learned_network(self, name: str) -> PoolNetwork:
        """A fresh network after a few steps on perturbed images."""
        tasks = sum(self.plan.protected)
        return fresh_network(name, self.kinds, self.device, self.rng, self.network_loss, tasks)

    def network_loss(self, network: PoolNetwork) -> torch.Tensor:
        """Of one step of a fresh network."""
        batch = self.batch()
        swapped = float(torch.rand(1, generator=self.rng)) < SWAPPED_IN_LEARNING
        hosts = self.batch() if swapped else batch
        with torch.no_grad():
            perturbed_BCHW = self.perturbed(hosts.x_BCHW, hosts.gray_B, batch.labels)
        return self.loss_of(network, perturbed_BCHW, batch.labels)

    def loss_of(self, network: PoolNetwork, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Mean loss of the protected tasks on distorted and augmented images."""
        x_BCHW = distorted(x_BCHW, self.plan.train.robust, self.rng)
        seen_BCHW, labels = augment_with_labels(x_BCHW, labels, self.kinds, self.plan.train.augment, self.rng)
        seen_BCHW = seen_BCHW.contiguous(memory_format=torch.channels_last)
        return mean_loss(network(seen_BCHW), labels, self.kinds, self.plan.protected)

    def perturbed(self, x_BCHW: torch.Tensor, gray_B: torch.Tensor, labels: Sequence[torch.Tensor]) -> torch.Tensor:
        """x + δ cut to [0, 1] as published pixels are; gradients pass the cut, or dark pixels would never learn."""
        moved_BCHW = x_BCHW + self.codes(x_BCHW, labels, gray_B)
        cut_BCHW = (moved_BCHW.clamp(0, 1) - moved_BCHW).detach()
        shown_BCHW: torch.Tensor = moved_BCHW + cut_BCHW
        return shown_BCHW

    def batch(self) -> Batch:
        """Random samples, with replacement."""
        rows = torch.randint(len(self.table), (self.plan.train.batch_size,), generator=self.rng)
        return self.table.batch(rows.numpy(), self.device)


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
    network = folded(network)
    return learned * each + CODE_STEPS * _step_seconds(lambda: training.step(network))


def _step_seconds(step: Callable[[], object]) -> float:
    step()
    started = clock()
    for _ in range(TIMED_STEPS):
        step()
    return (clock() - started) / TIMED_STEPS
