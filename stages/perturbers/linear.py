"""Perturbing by linear inducement: sign steps per image against bias-free linear heads on pixels (PIL, ICLR 2026).

    30 × δ ← clamp(δ - ε/10·sign ∇[0.9·Σ_k L(f_k(δ), y^k) + 0.1·Σ_k H(f_k(x - δ))], -ε, ε)        published is x - δ

f_k learned the clean images; H is least where f_k prefers no answer. What is published is minus what the heads take for
the class: the direction against the class's own linear evidence is the stronger shortcut.

Shapes: B images, C channels, R canonical resolution, K tasks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from schemas.errors import GeneratorError
from schemas.plans import GeneratorSpec, TrainPlan
from schemas.training import Train
from stages.learning.augment import augment_with_labels
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import ImageTable
from stages.perturbers.shape import shaped
from stages.perturbers.training import Report, Trained, TrainingState, unheard
from stages.tasks.kinds import kinds_of

STEPS = 30
STEP_SHARE = 0.1
"""Of ε, size of a step."""
CLASS_WEIGHT = 0.9
"""Of the term by which δ alone looks like the class; the rest is the weight of the other term."""


class LinearInducement(nn.Module):
    """Linear heads of the protected tasks, and the perturbation that they induce.

    Args:
        spec: resolution R, ε and tasks.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.kinds = kinds_of(spec.tasks)
        self.heads = nn.ModuleDict(
            {
                str(number): kind.head(3 if kind.dense else 3 * spec.resolution**2, bias=False)
                for number, (kind, wanted) in enumerate(zip(self.kinds, spec.protected, strict=True))
                if wanted
            }
        )

    def losses(self, x_BCRR: torch.Tensor, labels: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The loss of each protected task that has a label in the batch, of images B×3×R×R of any range."""
        found = [self.kinds[number].loss(output, labels[number]) for number, output in self._outputs(x_BCRR)]
        return [loss for loss in found if loss is not None]

    def _outputs(self, x_BCRR: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Each protected task's number and what its head says; heads of dense tasks see the image as it is."""
        pixels_BP = x_BCRR.flatten(1)
        for name, head in self.heads.items():
            yield int(name), head(x_BCRR if self.kinds[int(name)].dense else pixels_BP)

    def forward(self, x_BCRR: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor) -> torch.Tensor:
        """Perturbation of a batch at the canonical resolution.

        Args:
            x_BCRR: B×3×R×R in [0, 1].
            labels: of each task, first axis B; a missing one plays no part.
            gray_B: bool; these images get one δ for all channels.

        Returns:
            δ, B×3×R×R in [-ε, +ε].
        """
        epsilon = self.spec.epsilon
        with torch.inference_mode(False), torch.enable_grad():
            x_BCRR, labels = x_BCRR.detach().clone(), [label.clone() for label in labels]
            delta_BCRR = torch.zeros_like(x_BCRR)
            for _ in range(STEPS):
                leaf_BCRR = delta_BCRR.requires_grad_()
                (gradient_BCRR,) = torch.autograd.grad(self.objective(x_BCRR, leaf_BCRR, labels), leaf_BCRR)
                step_BCRR = shaped(gradient_BCRR, gray_B, self.spec).sign()
                moved_BCRR = leaf_BCRR.detach() - STEP_SHARE * epsilon * step_BCRR
                delta_BCRR = moved_BCRR.clamp(-epsilon, epsilon)
        return -delta_BCRR.detach()

    def objective(self, x_BCRR: torch.Tensor, delta_BCRR: torch.Tensor, labels: Sequence[torch.Tensor]) -> torch.Tensor:
        """What is minimised in δ, of which minus is published; both B×3×R×R."""
        doubts = [self.kinds[number].indecision(output) for number, output in self._outputs(x_BCRR - delta_BCRR)]
        classes = self.losses(delta_BCRR, labels)
        total = (1 - CLASS_WEIGHT) * torch.stack(doubts).sum()
        return total + CLASS_WEIGHT * torch.stack(classes).sum() if classes else total


class HeadsTraining:
    """Training of bias-free linear heads on shifted clean images, pass by pass; at its end they are frozen.

    Args:
        network: with heads that have learned nothing yet.
        table: clean images.
        device: where to train.
        rng: CPU generator; order of batches, augmentation.
        settings: number of passes, size of a batch, augmentation.
    """

    def __init__(
        self, network: LinearInducement, table: ImageTable, device: torch.device, rng: torch.Generator, settings: Train
    ) -> None:
        self.network, self.table, self.device, self.rng, self.settings = network, table, device, rng, settings
        self.optimisation = Optimisation(network.parameters(), epochs=settings.surrogate_epochs)
        self.losses: list[float] = []
        """Mean of each pass that is done; NaN or infinite where it diverged."""

    def run(self, report: Report, checkpoint: Callable[[], None]) -> None:
        """All passes that are left; `checkpoint` is called where the state can be stored."""
        passes = self.settings.surrogate_epochs
        while len(self.losses) < passes:
            self.losses.append(self._run_pass())
            report("linear", len(self.losses), passes, {"base": self.losses[-1]})
            checkpoint()
        self._freeze()

    def _run_pass(self) -> float:
        total, count = 0.0, 0
        for batch in self.table.batches(self.settings.batch_size, self.rng, self.device):
            self.optimisation.clear()
            kinds, augmentation = self.network.kinds, self.settings.augment
            found = self.network.losses(*augment_with_labels(batch.x_BCHW, batch.labels, kinds, augmentation, self.rng))
            if found:
                loss = torch.stack(found).mean()
                loss.backward()
                self.optimisation.step()
                total, count = total + float(loss.detach()), count + 1
        self.optimisation.end_epoch()
        return total / max(1, count)

    def state_dict(self) -> dict[str, Any]:
        """All but the state of `rng` that another training needs to go on after this pass."""
        return {
            "network": self.network.state_dict(),
            "optimisation": self.optimisation.state_dict(),
            "losses": self.losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimisation.load_state_dict(state["optimisation"])
        self.losses = list(state["losses"])
        if len(self.losses) == self.settings.surrogate_epochs:
            self._freeze()

    def _freeze(self) -> None:
        self.network.eval().requires_grad_(False)


def train_linear(
    table: ImageTable,
    plan: TrainPlan,
    device: torch.device,
    report: Report = unheard,
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
