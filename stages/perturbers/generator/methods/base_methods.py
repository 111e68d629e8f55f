"""Every base method by its name in the configuration."""

from __future__ import annotations

from stages.perturbers.generator.methods.em import ErrorMinimising
from stages.perturbers.generator.methods.fresh import FreshNetworks
from stages.perturbers.generator.methods.method import BaseMethod
from stages.perturbers.generator.methods.pil import LinearInducing
from stages.perturbers.generator.methods.sep import SelfEnsemble
from stages.perturbers.generator.methods.tap import TargetedPoisoning

METHODS: dict[str, type[BaseMethod]] = {
    "em": ErrorMinimising,
    "fresh": FreshNetworks,
    "pil": LinearInducing,
    "sep": SelfEnsemble,
    "tap": TargetedPoisoning,
}
