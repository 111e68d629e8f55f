"""Every countermeasure by its name in a configuration."""

from __future__ import annotations

from typing import Any

from schemas.plugins import COUNTERMEASURES as GROUP
from schemas.plugins import Registry
from stages.countermeasures.countermeasure import Countermeasure
from stages.countermeasures.every_image import Scaled, Squeezed
from stages.countermeasures.leaked_originals import Averaged, CleanSamples, Coverage, Purifier
from stages.countermeasures.removal import ClassMeans, Projection
from stages.countermeasures.training import (
    SMALLEST_WINDOW,
    Adversarial,
    Augmenting,
    Mixing,
    Pretrained,
    Staged,
    cutout,
    jitter,
    plasma,
)
from stages.transforms.pixels import Band, Bits, Blur, DownUp, Gray, Lossy, Median


def _made(found: Any) -> Countermeasure:
    """What an entry point leads to: a countermeasure, or its class."""
    made = found() if isinstance(found, type) else found
    if not isinstance(made, Countermeasure):
        raise TypeError(f"it is {type(made).__name__}; it must derive from stages.countermeasures.countermeasure")
    return made


_ROWS: dict[str, Countermeasure] = {
    "none": Countermeasure(),
    "gray": Squeezed(Gray()),
    "projection": Projection(),
    "mean_projection": Projection(of="means"),
    "jpeg10": Squeezed(Lossy("JPEG", 10)),
    "class_means_8": ClassMeans(bound=8),
    "jpeg75": Squeezed(Lossy("JPEG", 75)),
    "half_size": Scaled(0.5),
    "staged": Staged(),
    "low_pass": Squeezed(Band(0.5, 2)),
    "cutmix": Mixing(cut=True),
    "ueraser": Augmenting(plasma),
    "down_up": Squeezed(DownUp()),
    "bits2": Squeezed(Bits(2)),
    "median": Squeezed(Median()),
    "blur": Squeezed(Blur()),
    "jitter": Augmenting(jitter, SMALLEST_WINDOW),
    "mixup": Mixing(cut=False),
    "jpeg50": Squeezed(Lossy("JPEG", 50)),
    "webp75": Squeezed(Lossy("WEBP", 75)),
    "bits3": Squeezed(Bits(3)),
    "larger": Scaled(1.5),
    "class_means": ClassMeans(),
    "high_pass": Squeezed(Band(0, 0.2)),
    "cutout": Augmenting(cutout),
    "bits4": Squeezed(Bits(4)),
    "jpeg95": Squeezed(Lossy("JPEG", 95)),
    "bits5": Squeezed(Bits(5)),
    "adversarial8": Adversarial(8 / 255),
    "adversarial4": Adversarial(4 / 255),
    "clean_samples": CleanSamples(0.02),
    "pretrained": Pretrained(),
    "pretrained_frozen": Pretrained(freeze=True),
    "purifier": Purifier(200),
    "averaged_pair": Averaged(),
    "coverage80": Coverage(0.8),
    "coverage60": Coverage(0.6),
    "coverage40": Coverage(0.4),
    "coverage20": Coverage(0.2),
}

COUNTERMEASURES = Registry(GROUP, _ROWS, _made)
"""In the order in which they are tried: what undid most of other protections for least time comes first."""
