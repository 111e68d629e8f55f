"""Training of the generator: one loop for every base method.

L = L_base + λ1·L_intra + λ2·L_inter        (docs/method.md, "Total"; MTL-UE, arXiv 2505.05279)

L_intra   mean cosine similarity over pairs of different classes of a task, plus 1; averaged over tasks
L_inter   mean absolute cosine similarity over all pairs of classes of different tasks
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from schemas.errors import GeneratorError
from schemas.plans import TrainPlan
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import Batch, ImageTable
from stages.perturbers.generator.explained import explained_share
from stages.perturbers.generator.methods.base_methods import METHODS
from stages.perturbers.generator.methods.method import Context
from stages.perturbers.generator.network import Generator
from stages.perturbers.training import Report, Trained, TrainingState, unheard
from stages.tasks.kinds import kinds_of

GENERATOR_LEARNING_RATE = 2e-3
"""Twice the paper's: on scenes at 32 px, 228 steps of TAP leave a victim 23 %, at chance."""

GENERATOR_DROPS = (0.75, 0.9)
"""Later than the paper's (0.6, 0.8): a run of few steps must not stop learning at half."""

TERMS = ("base", "intra", "inter")


class Training:
    """One training run; step by step, so that it can be stored between two steps and go on elsewhere.

    The same table, plan and number of threads give the same weights, also after `load_state_dict`.

    Args:
        table: images R×R with R = `plan.train.resolution`, labels of K tasks.
        plan: what decides the generator.
        device: where to train.
        report: called with (phase, done, total).
    """

    def __init__(self, table: ImageTable, plan: TrainPlan, device: torch.device, report: Report) -> None:
        self.plan, self.settings, self.epoch, self.steps = plan, plan.train, 0, 0
        self.losses: list[dict[str, float]] = []
        self.left = torch.empty(0, dtype=torch.int64)  # rows of the pass that is under way, and what it has summed up
        self.sums, self.count = torch.zeros(len(TERMS)), 0
        torch.manual_seed(self.settings.seed)  # initial weights; everything later draws from `rng`
        self.generator = to_device(Generator(plan.spec), device)
        self.context = Context(
            settings=self.settings,
            table=table,
            generator=self.generator,
            kinds=kinds_of(plan.tasks),
            protected=plan.protected,
            device=device,
            rng=torch.Generator().manual_seed(self.settings.seed),
            report=report,
        )
        self.method = METHODS[self.settings.method]()
        self.optimisation = Optimisation(
            self.generator.parameters(),
            epochs=self.settings.epochs,
            drops=GENERATOR_DROPS,
            learning_rate=GENERATOR_LEARNING_RATE,
        )

    def run(self, checkpoint: Callable[[], None] = lambda: None) -> None:
        """All that is left; `checkpoint` is called wherever the state can be stored.

        Raises:
            GeneratorError: a loss is not finite.
        """
        self.context.checkpoint = checkpoint
        if self.epoch == 0 and not len(self.left):
            self.method.prepare(self.context)
        while self.epoch < self.settings.epochs:
            self.run_pass()
            checkpoint()

    def run_pass(self) -> None:
        """One pass of the generator over the data, or what is left of it."""
        if not len(self.left):
            self.method.before_pass(self.context, self.epoch)
            self.left = self.context.table.order(self.context.rng)
            self.sums, self.count = torch.zeros(len(TERMS)), 0
        self.generator.train()
        for batch in self.context.table.batches_of(self.left, self.settings.batch_size, self.context.device):
            self.sums += self.step(batch)
            self.count += 1
            self.left = self.left[len(batch.gray_B) :]
            if len(self.left):  # or it is the end of the pass, which has more to do
                self.context.checkpoint()
        self.optimisation.end_epoch()
        self.steps += self.count
        self.losses.append(dict(zip(TERMS, (self.sums / self.count).tolist(), strict=True)))
        self.epoch += 1
        self.left = self.left[:0]
        self.context.report("generator", self.epoch, self.settings.epochs, self.losses[-1])

    def step(self, batch: Batch) -> torch.Tensor:
        """One step of the generator; δ is computed once, whatever number of terms the method has. Returns the terms."""
        self.optimisation.clear()
        x_BCHW = self.context.perturbed(batch)
        leaf_BCHW = x_BCHW.detach().requires_grad_()
        base = torch.zeros(())
        for term in self.method.losses(self.context, leaf_BCHW, batch):
            term.backward()
            base += term.detach().cpu()
        intra, inter = embedding_regularisers(self.generator.class_maps)
        regularisers = self.settings.lambda_intra * intra + self.settings.lambda_inter * inter
        if regularisers.requires_grad:  # not where no task has classes
            regularisers.backward()
        x_BCHW.backward(leaf_BCHW.grad)
        terms = torch.stack([base, intra.detach().cpu(), inter.detach().cpu()])
        self._refuse_divergence(terms, float(base + regularisers.detach().cpu()))
        self.optimisation.step()
        return terms

    def _refuse_divergence(self, terms: torch.Tensor, total: float) -> None:
        if not math.isfinite(total):
            found = ", ".join(f"{name} {value:.4g}" for name, value in zip(TERMS, terms.tolist(), strict=True))
            raise GeneratorError(
                f"train: the loss is not finite in epoch {self.epoch + 1} ({found}; total {total:g}): nothing was "
                f"published; lower train.lambda_intra (now {self.settings.lambda_intra:g}) or train.lambda_inter (now "
                f"{self.settings.lambda_inter:g})"
            )

    def state_dict(self) -> dict[str, Any]:
        """All that another `Training` of the same table and plan needs to go on from here."""
        return {
            "epoch": self.epoch,
            "steps": self.steps,
            "losses": self.losses,
            "left": self.left,
            "sums": self.sums,
            "count": self.count,
            "generator": self.generator.state_dict(),
            "optimisation": self.optimisation.state_dict(),
            "method": self.method.state_dict(),
            "rng": self.context.rng.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.epoch, self.steps, self.losses = state["epoch"], state["steps"], list(state["losses"])
        self.left, self.sums, self.count = state["left"], state["sums"], state["count"]
        self.generator.load_state_dict(state["generator"])
        self.optimisation.load_state_dict(state["optimisation"])
        self.method.load_state_dict(self.context, state["method"])
        self.context.rng.set_state(state["rng"])


def train_generator(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Report = unheard,
    kept: TrainingState | None = None,
) -> Trained:
    """Train a generator on a table of images at the canonical resolution (arguments and errors: `Training`).

    Args:
        table, plan, device, report: as `Training`.
        kept: where the state is kept from step to step; None: nowhere.
    """
    started, kept = time.monotonic(), kept or TrainingState()
    with torch.random.fork_rng(devices=[]):
        training = Training(table, plan, device, report)
        if (state := kept.load()) is not None:
            training.load_state_dict(state)
        training.run(lambda: kept.save(training.state_dict))
    generator = training.generator.eval()
    explained = explained_share(generator, table, device)
    return Trained(generator.cpu(), training.steps, time.monotonic() - started, training.losses, explained)


def embedding_regularisers(embeddings: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Both terms from one Gram matrix of the normalised embeddings.

    Args:
        embeddings: K tensors C_k×(…); each class's map is flattened.

    Returns:
        (L_intra in [0, 2], L_inter in [0, 1]); L_inter is 0 for a single task, both are where none has classes.

    Example:
        >>> opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> [term.item() for term in embedding_regularisers([opposite, opposite.flip(1)])]
        [0.0, 0.0]
    """
    if not embeddings:
        return torch.zeros(()), torch.zeros(())
    rows = torch.cat([functional.normalize(table.flatten(1), dim=1) for table in embeddings])
    gram = rows @ rows.T
    counts = [len(table) for table in embeddings]
    intra, start, same_task = [], 0, torch.zeros_like(gram, dtype=torch.bool)
    for count in counts:
        block = gram[start : start + count, start : start + count]
        intra.append((block.sum() - block.diagonal().sum()) / (count * (count - 1)) + 1)
        same_task[start : start + count, start : start + count] = True
        start += count
    between = gram.abs()[~same_task]
    inter = between.mean() if between.numel() else gram.sum() * 0
    return torch.stack(intra).mean(), inter
