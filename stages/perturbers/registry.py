"""Every network that makes δ, by the name in its specification."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from schemas.plans import GeneratorSpec
from stages.models.codes import ClassCodes
from stages.models.generator import Generator
from stages.models.linear import LinearInducement
from stages.models.per_sample import STEPS, PerSample

NETWORKS: dict[str, Callable[[GeneratorSpec], nn.Module]] = {
    **dict.fromkeys(("codes", "floor", "lsp", "ar"), ClassCodes),
    "generator": Generator,
    "pil": LinearInducement,
    **dict.fromkeys(STEPS, PerSample),
}


def network_of(spec: GeneratorSpec) -> nn.Module:
    """A fresh network; called with (images, labels, gray flags) it gives δ."""
    return NETWORKS[spec.network](spec)
