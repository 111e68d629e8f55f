"""Sign steps per image against trained surrogates: EM, TAP and SEP as they were first published, without a generator.

    steps × δ ← clamp(δ - step·sign ∇ 1/N Σ_n L(F_n(x + δ), y*), -ε, ε)

em-sample   y* = y, 20 steps of ε/10, against the last of the alternating surrogates (Huang et al., ICLR 2021, §3)
tap-sample  y* = y' of another class (untargeted: -L with y), 60 steps of ε/20 (Fowl et al., NeurIPS 2021, take 250)
sep-sample  as TAP, 30 steps of ε/15, the loss over the snapshots of one training (Chen et al., ICLR 2023)

The originals keep δ of each training image from round to round. Here it is computed from 0 against the final
surrogates, so that images that come later are protected too. No random augmentation in the steps: the same image and
labels always get the same δ. The price is steps × N passes through a network for every image.

Shapes: B images, C channels, R canonical resolution, K tasks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import nn

from schemas.plans import GeneratorSpec, TrainPlan
from stages.learning.optimise import to_device
from stages.learning.table import ImageTable
from stages.networks.multitask import MultiTaskModel, mean_loss
from stages.perturbers.generator.methods.base_methods import METHODS
from stages.perturbers.generator.methods.method import Context
from stages.perturbers.shape import shaped
from stages.perturbers.training import Report, Trained, TrainingState, unheard
from stages.tasks.kinds import kinds_of


class Steps(NamedTuple):
    """How one method descends."""

    method: str
    """Base method whose surrogates it uses."""
    number: int
    share: float
    """Of ε, size of a step."""
    adversarial: bool
    """Towards another class, or towards the image's own."""


STEPS = {
    "em-sample": Steps("em", 20, 1 / 10, adversarial=False),
    "tap-sample": Steps("tap", 60, 1 / 20, adversarial=True),
    "sep-sample": Steps("sep", 30, 1 / 15, adversarial=True),
}


class PerSample(nn.Module):
    """Surrogates, and the perturbation that sign steps through them find for each image.

    Args:
        spec: network (a name in `STEPS`), resolution R, ε, tasks, and its surrogates: `backbones`, `width`, `copies`.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec, self.kinds, self.steps = spec, kinds_of(spec.tasks), STEPS[spec.network]
        self.surrogates = nn.ModuleList(
            MultiTaskModel(backbone, width=spec.width, kinds=self.kinds, resolution=spec.resolution)
            for backbone in spec.backbones
            for _ in range(spec.copies)
        )

    def forward(self, x_BCRR: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor) -> torch.Tensor:
        """Perturbation of a batch at the canonical resolution; the surrogates are in eval mode afterwards.

        Args:
            x_BCRR: B×3×R×R in [0, 1].
            labels: of each task, first axis B; a missing one plays no part.
            gray_B: bool; these images get one δ for all channels.

        Returns:
            δ, B×3×R×R in [-ε, +ε].
        """
        self.surrogates.eval()
        epsilon = self.spec.epsilon
        with torch.inference_mode(False), torch.enable_grad():
            x_BCRR, labels = x_BCRR.detach().clone(), [label.clone() for label in labels]
            if self.steps.adversarial and self.spec.targeted:
                labels = [kind.target(label) for kind, label in zip(self.kinds, labels, strict=True)]
            delta_BCRR = torch.zeros_like(x_BCRR)
            for _ in range(self.steps.number):
                step_BCRR = shaped(self._gradient(x_BCRR, delta_BCRR, labels), gray_B, self.spec).sign()
                moved_BCRR = delta_BCRR - self.steps.share * epsilon * step_BCRR
                delta_BCRR = moved_BCRR.clamp(-epsilon, epsilon)
        return delta_BCRR

    def _gradient(self, x_BCRR: torch.Tensor, delta_BCRR: torch.Tensor, labels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Of the mean loss of the protected tasks over the surrogates, one after the other; the cut lets it pass."""
        leaf_BCRR = (x_BCRR + delta_BCRR).clamp(0, 1).requires_grad_()
        sign = -1 if self.steps.adversarial and not self.spec.targeted else 1
        for surrogate in self.surrogates:
            model = cast(MultiTaskModel, surrogate)
            (sign * mean_loss(model(leaf_BCRR), labels, self.kinds, self.spec.protected)).backward(inputs=[leaf_BCRR])
        assert leaf_BCRR.grad is not None  # noqa: S101 - a specification has surrogates
        return leaf_BCRR.grad


def train_per_sample(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Report = unheard,
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
        method, done = METHODS[network.steps.method](), 0
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
