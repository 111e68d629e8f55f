"""Every countermeasure by its name in a configuration."""

from __future__ import annotations

from schemas.training import CountermeasureName
from stages.countermeasures.adversarial import Adversarial
from stages.countermeasures.augmenting import Augmenting, cutout, jitter, plasma
from stages.countermeasures.base import Countermeasure
from stages.countermeasures.class_means import ClassMeans
from stages.countermeasures.mixing import Mixing
from stages.countermeasures.pixels import Squeezed
from stages.countermeasures.projection import Projection
from stages.countermeasures.scale import Scaled
from stages.transforms.bands import Band
from stages.transforms.bits import Bits
from stages.transforms.filters import Blur, Median
from stages.transforms.gray import Gray
from stages.transforms.lossy import Lossy
from stages.transforms.resize import DownUp

COUNTERMEASURES: dict[CountermeasureName, Countermeasure] = {
    "none": Countermeasure(),
    "gray": Squeezed(Gray()),
    "jpeg95": Squeezed(Lossy("JPEG", 95)),
    "jpeg75": Squeezed(Lossy("JPEG", 75)),
    "jpeg50": Squeezed(Lossy("JPEG", 50)),
    "jpeg10": Squeezed(Lossy("JPEG", 10)),
    "webp75": Squeezed(Lossy("WEBP", 75)),
    "bits2": Squeezed(Bits(2)),
    "bits3": Squeezed(Bits(3)),
    "bits4": Squeezed(Bits(4)),
    "bits5": Squeezed(Bits(5)),
    "blur": Squeezed(Blur()),
    "median": Squeezed(Median()),
    "down_up": Squeezed(DownUp()),
    "low_pass": Squeezed(Band(0.5, 2)),
    "high_pass": Squeezed(Band(0, 0.2)),
    "half_size": Scaled(0.5),
    "larger": Scaled(1.5),
    "jitter": Augmenting(jitter),
    "cutout": Augmenting(cutout),
    "ueraser": Augmenting(plasma),
    "mixup": Mixing(cut=False),
    "cutmix": Mixing(cut=True),
    "adversarial4": Adversarial(4 / 255),
    "adversarial8": Adversarial(8 / 255),
    "projection": Projection(),
    "mean_projection": Projection(of="means"),
    "class_means": ClassMeans(),
    "class_means_8": ClassMeans(bound=8),
}
