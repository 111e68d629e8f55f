"""Class codes: one learnable δ per task and class, added and cut; the same for every image of a class.

    δ = ε·clamp(Σ_k U^k[y^k], -1, 1)

The shortest form of the paper's point that consistency within a class is what counts: no encoder, no decoder. Of
several dense tasks, whose codes are the same texture wherever a class lies, each has pixels of its own: on common ones
the strongest would cut off the others.

Shapes: B images, C channels, R canonical resolution, K tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from schemas.plans import GeneratorSpec
from stages.perturbers.shape import shaped
from stages.tasks.kinds import kinds_of

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
        codes = [embedding(labels[int(number)]) for number, embedding in self.embeddings.items()]
        if len(self.dense) > 1:
            codes = [self._in_own_pixels(*each) for each in zip(self.embeddings, codes, strict=True)]
        code_BCHW = torch.stack(codes).sum(dim=0)
        return self.spec.epsilon * shaped(code_BCHW, gray_B, self.spec).clamp(-1, 1)

    def _in_own_pixels(self, number: str, code_BCRR: torch.Tensor) -> torch.Tensor:
        """A dense task's code on every n-th diagonal, of n dense tasks; any other's everywhere."""
        if number not in self.dense:
            return code_BCRR
        steps_R = torch.arange(self.spec.resolution, device=code_BCRR.device)
        diagonals_RR = (steps_R[:, None] + steps_R) % len(self.dense)
        return code_BCRR * (diagonals_RR == self.dense.index(number))
