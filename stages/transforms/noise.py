"""Uniform random noise within ±ε: the control that any protection must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.io.images.pixels import bound_of, has_alpha, peak_of
from stages.io.images.spill import Pixels
from stages.io.images.strips import strips
from stages.io.shards.names import key_hash


@dataclass(frozen=True)
class UniformNoise:
    """Integer noise in [-B, B] on every colour value; it depends on key and seed alone, never on place in a shard."""

    epsilon: float
    """ε in [0, 1] units."""
    seed: int = 0

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image with its noise."""
        bound = bound_of(pixels_HWC, self.epsilon)
        rng = np.random.default_rng([self.seed, *key_hash(key)])
        noisy = np.empty_like(pixels_HWC)
        height, width, _ = pixels_HWC.shape
        for rows in strips(height, height * width):
            clean = pixels_HWC[rows]
            # 32 bits a number: narrower types draw several at once, which would depend on the strips.
            noise = rng.integers(-bound, bound, size=clean.shape, endpoint=True, dtype=np.int32)
            if has_alpha(pixels_HWC):
                noise[:, :, -1] = 0
            noisy[rows] = np.clip(clean + noise, 0, peak_of(pixels_HWC))
        return noisy
