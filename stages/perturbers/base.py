"""The contract of a perturber: what makes δ for images and labels.

Shapes: B images, R canonical resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from schemas.errors import GeneratorError

HINT = "nothing was published; train again with --retrain, or choose another train.perturber"
"""What to do about a perturber whose δ is unusable."""


class Perturber(Protocol):
    """Makes δ at one canonical resolution; the same image and labels always get the same δ."""

    resolution: int
    """R, the side in pixels of the views that it takes and of the δ that it gives."""
    epsilon: float
    """ε in [0, 1] units."""
    fingerprint: str
    """Of everything that decides δ: two perturbers of one fingerprint add the same."""

    def delta(
        self, views_BCRR: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor, keys: Sequence[str]
    ) -> torch.Tensor:
        """δ of a batch.

        Args:
            views_BCRR: B×3×R×R in [0, 1].
            labels: of each task, first axis B.
            gray_B: bool; these images get one δ for all channels.
            keys: of the samples.

        Returns:
            B×3×R×R in [-ε, +ε], on the CPU.
        """


def check_delta(delta_BCRR: torch.Tensor, keys: Sequence[str], hint: str = HINT) -> torch.Tensor:
    """Refuse a δ that protects nothing; returns it.

    Raises:
        GeneratorError: a value is not finite, or every channel of an image is shifted by one value: any change of
            brightness or tint undoes that.
    """
    planes_BCP = delta_BCRR.flatten(2)
    finite_B = torch.isfinite(planes_BCP).all(dim=2).all(dim=1)
    flat_B = (planes_BCP.amax(dim=2) == planes_BCP.amin(dim=2)).all(dim=1)
    for key, finite, flat, plane_CP in zip(keys, finite_B.tolist(), flat_B.tolist(), planes_BCP, strict=True):
        if not finite:
            raise GeneratorError(f"δ of sample {key!r} is not finite (NaN or infinite); {hint}")
        if flat:
            raise GeneratorError(
                f"δ of sample {key!r} is {float(plane_CP[0, 0]) * 255:.3g}/255 in every pixel of a channel: that "
                f"shifts its brightness and protects nothing; {hint}"
            )
    return delta_BCRR
