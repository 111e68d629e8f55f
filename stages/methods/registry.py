"""Every base method by its name in the configuration."""

from __future__ import annotations

from stages.methods.base import BaseMethod
from stages.methods.em import ErrorMinimising
from stages.methods.fresh import FreshNetworks
from stages.methods.pil import LinearInducing
from stages.methods.sep import SelfEnsemble
from stages.methods.tap import TargetedPoisoning

METHODS: dict[str, type[BaseMethod]] = {
    "em": ErrorMinimising,
    "fresh": FreshNetworks,
    "pil": LinearInducing,
    "sep": SelfEnsemble,
    "tap": TargetedPoisoning,
}
