"""Uniform random noise within ±ε: the control that any protection must beat."""

from __future__ import annotations

import numpy as np

from stages.io.images.codecs import Pixels
from stages.io.images.pixels import bound_of, has_alpha, peak_of
from stages.io.shards.names import key_hash


def add_noise(pixels_HWC: Pixels, epsilon: float, key: str, seed: int) -> Pixels:
    """Uniform integer noise in [-B, B] on every colour value: the control that any protection must beat.

    The noise depends on key and seed alone, never on position in the shard.
    """
    bound = bound_of(pixels_HWC, epsilon)
    rng = np.random.default_rng([seed, *key_hash(key)])
    noise = rng.integers(-bound, bound, size=pixels_HWC.shape, endpoint=True, dtype=np.int32)
    if has_alpha(pixels_HWC):
        noise[:, :, -1] = 0
    noisy: Pixels = np.clip(pixels_HWC + noise, 0, peak_of(pixels_HWC)).astype(pixels_HWC.dtype)
    return noisy
