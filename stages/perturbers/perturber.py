"""The contract of a perturber: δ for images and labels.

Shapes: B images, R canonical resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import nn

from schemas.errors import GeneratorError
from schemas.plans import GeneratorSpec
from stages.perturbers.registry import PERTURBERS
from stages.tasks.kinds import kinds_of

HINT = "nothing was published; train again with --retrain, or choose another train.perturber"
"""What to do about a perturber whose δ is unusable."""


class Perturber(Protocol):
    """Gives δ at one canonical resolution; the same image and labels always get the same δ."""

    resolution: int
    """R, the side in pixels of the views that it takes and of the δ that it gives."""
    epsilon: float
    """ε in [0, 1] units."""
    fingerprint: str
    """Of everything that decides δ: two perturbers of one fingerprint add the same."""
    sees_images: bool
    """Whether δ depends on the image; otherwise on its labels and on whether it is gray alone."""

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


PROBES = 4
"""Made-up images with different labels on which a generator is tried before it protects anything."""


class GeneratorPerturber:
    """A network in eval mode that is called with images, labels and gray flags.

    Args:
        generator: trained, with its specification as `spec`; on the device where δ is computed.
        fingerprint: SHA-256 of its weights and specification.

    Raises:
        GeneratorError: its weights or its δ are not finite, its δ is constant, or the same for all images and labels.
    """

    def __init__(self, generator: nn.Module, fingerprint: str) -> None:
        self.generator = generator
        self.fingerprint = fingerprint
        self.spec = cast(GeneratorSpec, generator.spec)
        regularised = ", with smaller train.lambda_intra and train.lambda_inter"
        self.hint = HINT + (regularised if self.spec.network == "generator" else "")
        self.resolution, self.epsilon = self.spec.resolution, self.spec.epsilon
        self.sees_images = PERTURBERS[self.spec.network].sees_images
        self._try()

    def delta(
        self, views_BCRR: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor, keys: Sequence[str]
    ) -> torch.Tensor:
        """δ of a batch; the keys play no part."""
        device = next(self.generator.parameters()).device
        with torch.inference_mode():
            delta_BCRR: torch.Tensor = self.generator(
                views_BCRR.to(device), [label.to(device) for label in labels], gray_B.to(device)
            )
        return delta_BCRR.cpu()

    def _try(self) -> None:
        """Try made-up images with different labels: a δ that ignores both is the same for a whole dataset."""
        for name, value in self.generator.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                raise GeneratorError(f"weights {name!r} of the generator are not finite; {self.hint}")
        rng = torch.Generator().manual_seed(0)
        views_BCRR = torch.rand(PROBES, 3, self.resolution, self.resolution, generator=rng)
        views_BCRR = views_BCRR.contiguous(memory_format=torch.channels_last)
        labels = [kind.examples(PROBES, self.resolution) for kind in kinds_of(self.spec.tasks)]
        keys = [f"probe {number}" for number in range(PROBES)]
        delta_BCRR = self.delta(views_BCRR, labels, torch.zeros(PROBES, dtype=torch.bool), keys)
        check_delta(delta_BCRR, keys, self.hint)
        if bool((delta_BCRR == delta_BCRR[:1]).all()):
            raise GeneratorError(f"δ is the same for all images and labels, so it protects nothing; {self.hint}")
