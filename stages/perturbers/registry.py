"""Every network that makes δ, by the name in its specification."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from schemas.plans import GeneratorSpec
from stages.models.codes import ClassCodes
from stages.models.linear import LinearInducement

# torchvision, whose blocks these two are built of, takes 170 MB of a worker and some seconds.


def _generator(spec: GeneratorSpec) -> nn.Module:
    from stages.models.generator import Generator

    return Generator(spec)


def _per_sample(spec: GeneratorSpec) -> nn.Module:
    from stages.models.per_sample import PerSample

    return PerSample(spec)


NETWORKS: dict[str, Callable[[GeneratorSpec], nn.Module]] = {
    **dict.fromkeys(("codes", "floor", "lsp", "ar"), ClassCodes),
    "generator": _generator,
    "pil": LinearInducement,
    **dict.fromkeys(("em-sample", "tap-sample", "sep-sample"), _per_sample),
}


def sees_images(network: str) -> bool:
    """Whether δ depends on the image as well; otherwise images of the same labels get the same δ."""
    return NETWORKS[network] is not ClassCodes


def network_of(spec: GeneratorSpec) -> nn.Module:
    """A fresh network; called with (images, labels, gray flags) it gives δ."""
    return NETWORKS[spec.network](spec)
