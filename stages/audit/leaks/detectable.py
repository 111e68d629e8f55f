"""Can a linear probe tell protected from clean images?

Steganalysis asks it of every image that carries something (Fridrich, 2009). The probe sees the pixels, and how far each
lies from the mean of its neighbours, of each and on average: noise of any kind raises that. All is standardised.
Both images of a pair are learned from, or both are tested on. Chance is 1/2.

An image that is known to be protected is not unprotected by that; but whoever can tell will look for a way.

Shapes: N pairs, R resolution, D = 6·R·R + 3 values.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from schemas.evidence import Leak
from schemas.tasks import ClassificationTask
from stages.audit.leaks.pairs import Pairs
from stages.audit.leaks.probe import Probed, probed
from stages.tasks.kinds import kinds_of

MEASURED = 256
"""Rows, about, whose mean and deviation standardise the values."""

ASKED = ClassificationTask(name="protected", field="protected", classes=["clean", "protected"])


def detectable(pairs: Pairs) -> list[Leak]:
    """Balanced accuracy over clean and protected images of which the probe saw neither, beside noise for protection."""
    found, control = (_told_apart(pairs, images) for images in (pairs.protected, pairs.noise))
    return [
        Leak(
            name="detectable",
            metric=found.metric,
            reached=found.reached,
            chance=found.chance,
            noise=control.reached,
            error=found.error,
            samples=2 * len(pairs.halves[1]),
        )
    ]


def _told_apart(pairs: Pairs, others_NRRC: np.ndarray) -> Probed:
    """What `probed` says of clean images and others."""
    count, kinds = len(pairs), kinds_of([ASKED])
    labels = np.repeat(np.array([0, 1]), count)  # rows of the clean images, then those of their twins

    def measured(rows: np.ndarray) -> torch.Tensor:
        images = np.where((rows < count)[:, None, None, None], pairs.clean[rows % count], others_NRRC[rows % count])
        return pixels_and_residuals(images)

    learned, tested = (np.concatenate([half, half + count]) for half in pairs.halves)
    some_ND = measured(learned[:: len(learned) // MEASURED + 1])
    mean_D, scale_D = some_ND.mean(dim=0), some_ND.std(dim=0) + 1e-3
    (found,) = probed(lambda rows: (measured(rows) - mean_D) / scale_D, [labels], kinds, (learned, tested), pairs.seed)
    return found


def pixels_and_residuals(images_NRRC: np.ndarray) -> torch.Tensor:
    """N×D in 0..1: pixels, distances of pixels from the mean of their 3×3 neighbourhood, mean distance per channel."""
    x_NCRR = torch.from_numpy(images_NRRC).permute(0, 3, 1, 2).float() / 255
    around_NCRR = functional.avg_pool2d(x_NCRR, 3, stride=1, padding=1, count_include_pad=False)
    away_NCRR = (x_NCRR - around_NCRR).abs()
    return torch.cat([x_NCRR.flatten(1), away_NCRR.flatten(1), away_NCRR.mean(dim=(2, 3))], dim=1)
