"""Every task weighting by its name in the configuration."""

from __future__ import annotations

from stages.learning.weightings.aligned import AlignedWeighting
from stages.learning.weightings.base import Weighting
from stages.learning.weightings.equal import Equal
from stages.learning.weightings.fair import FairWeighting
from stages.learning.weightings.random import RandomWeighting
from stages.learning.weightings.uncertainty import UncertaintyWeighting

WEIGHTINGS: dict[str, type[Weighting]] = {
    "ls": Equal,
    "rlw": RandomWeighting,
    "uw": UncertaintyWeighting,
    "aligned_mtl": AlignedWeighting,
    "fairgrad": FairWeighting,
}
