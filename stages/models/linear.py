"""Perturbing by linear inducement: sign steps per image against bias-free linear heads on pixels (PIL, ICLR 2026).

    30 × δ ← clamp(δ - ε/10·sign ∇[0.9·Σ_k L(f_k(δ), y^k) + 0.1·Σ_k H(f_k(x - δ))], -ε, ε)        published is x - δ

f_k learned the clean images; H is least where f_k prefers no answer. What is published is minus what the heads take for
the class: the direction against the class's own linear evidence is the stronger shortcut.

Shapes: B images, C channels, R canonical resolution, K tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from schemas.plans import GeneratorSpec
from stages.models.shape import shaped
from stages.tasks.registry import kinds_of

STEPS = 30
STEP_SHARE = 0.1
"""Of ε, size of a step."""
CLASS_WEIGHT = 0.9
"""Of the term that makes δ alone look like the class; the rest is the weight of the other term."""


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
