"""Every task weighting by its name in the configuration."""

from __future__ import annotations

from stages.learning.weightings.gradient_based import AlignedWeighting, FairWeighting
from stages.learning.weightings.loss_based import Equal, RandomWeighting, UncertaintyWeighting
from stages.learning.weightings.weighting import Weighting

WEIGHTINGS: dict[str, type[Weighting]] = {
    "ls": Equal,
    "rlw": RandomWeighting,
    "uw": UncertaintyWeighting,
    "aligned_mtl": AlignedWeighting,
    "fairgrad": FairWeighting,
}
