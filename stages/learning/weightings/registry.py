"""Every task weighting by its name in the configuration."""

from __future__ import annotations

from typing import Any

from schemas.plugins import WEIGHTINGS as GROUP
from schemas.plugins import Registry
from stages.learning.weightings.gradient_based import AlignedWeighting, FairWeighting
from stages.learning.weightings.loss_based import Equal, RandomWeighting, UncertaintyWeighting
from stages.learning.weightings.weighting import Weighting


def _made(found: Any) -> type[Weighting]:
    """What an entry point leads to: the class of a weighting."""
    if not (isinstance(found, type) and issubclass(found, Weighting)):
        raise TypeError("it must be a class that derives from stages.learning.weightings.weighting.Weighting")
    return found


_ROWS: dict[str, type[Weighting]] = {
    "ls": Equal,
    "rlw": RandomWeighting,
    "uw": UncertaintyWeighting,
    "aligned_mtl": AlignedWeighting,
    "fairgrad": FairWeighting,
}

WEIGHTINGS = Registry(GROUP, _ROWS, _made)
"""Our own, and those of installed packages."""
