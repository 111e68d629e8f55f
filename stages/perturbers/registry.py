"""Every perturber by the name of `train.perturber`: one row each. Its settings are its row in `schemas/perturbers.py`.

A row names network and trainer as text, so that only the chosen one is imported. Some of them use torchvision's blocks,
whose import takes 170 MB of a worker and some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import torch
from torch import nn

from schemas.plans import GeneratorSpec, TrainPlan
from schemas.plugins import PERTURBERS as GROUP
from schemas.plugins import Registry
from schemas.training import Train
from stages.learning.table import ImageTable
from stages.perturbers.training import Phase, Trainer


def _no_phases(settings: Train) -> tuple[Phase, ...]:
    return ()


@dataclass(frozen=True)
class PerturberKind:
    """How one kind of perturber is built, trained and described."""

    network: str | Callable[[GeneratorSpec], nn.Module]
    """A `GeneratorSpec` → a module that gives δ of (images, labels, gray flags); `module:class` below this folder."""
    trainer: str | Trainer
    """What trains it; `module:function` below this folder."""
    wording: Callable[[Train], str]
    """How the report names it."""
    phases: Callable[[Train], tuple[Phase, ...]] = _no_phases
    """The parts of its training, in their order; their lengths are settings of `Train`."""
    timing: str = ""
    """`module:function` that estimates a whole training; empty: passes of its phases are timed."""
    sees_images: bool = True
    """Whether δ depends on the image as well; otherwise images of the same labels get the same δ."""

    def build(self, spec: GeneratorSpec) -> nn.Module:
        """A fresh network of a specification."""
        return cast(Callable[[GeneratorSpec], nn.Module], _named(self.network))(spec)

    @property
    def train(self) -> Trainer:
        """The function that trains it."""
        return cast(Trainer, _named(self.trainer))

    @property
    def whole_training(self) -> Callable[[ImageTable, TrainPlan, torch.device], float] | None:
        """Seconds of a training on a device, from a few real images; None where its phases say it."""
        return (
            cast(Callable[[ImageTable, TrainPlan, torch.device], float], _named(self.timing)) if self.timing else None
        )


def _named(found: Any) -> Any:
    if not isinstance(found, str):  # another package's
        return found
    module, _, name = found.partition(":")
    return getattr(import_module(f"stages.perturbers.{module}"), name)


def _of_its_method(settings: Train) -> tuple[Phase, ...]:
    from stages.perturbers.generator.methods.base_methods import METHODS

    return METHODS[settings.method].phases


def _generator_words(settings: Train) -> str:
    method = settings.method.upper()
    return f"{method}, {_surrogates(settings)}" if settings.surrogates else f"{method} in a generator"


def _surrogates(settings: Train) -> str:
    return f"surrogates {', '.join(settings.backbones)}, width {settings.width}"


def _per_sample(method: str, length: str) -> PerturberKind:
    """A row of sign steps per image; `length` is the setting that says how long its surrogates are trained."""
    return PerturberKind(
        network="per_sample:PerSample",
        trainer="per_sample:train_per_sample",
        phases=lambda settings: (Phase("surrogate", length),),
        wording=lambda settings: f"{method} per sample, {_surrogates(settings)}",
    )


def _pattern(name: str) -> PerturberKind:
    return PerturberKind(
        network="codes:ClassCodes",
        trainer="patterns:draw_patterns",
        sees_images=False,
        wording=lambda settings: f"the pattern {name!r}, which nothing was trained for",
    )


_ROWS: dict[str, PerturberKind] = {
    "codes": PerturberKind(
        network="codes:ClassCodes",
        trainer="codes:train_codes",
        phases=lambda settings: (Phase("codes", "rounds"),),
        timing="codes:training_seconds",
        sees_images=False,
        wording=lambda settings: f"class codes against {settings.rounds} fresh networks",
    ),
    "generator": PerturberKind(
        network="generator.network:Generator",
        trainer="generator.training:train_generator",
        phases=_of_its_method,
        wording=_generator_words,
    ),
    "pil": PerturberKind(
        network="linear:LinearInducement",
        trainer="linear:train_linear",
        phases=lambda settings: (Phase("linear", "surrogate_epochs"),),
        wording=lambda settings: f"linear inducement, heads trained for {settings.surrogate_epochs} passes",
    ),
    "em-sample": _per_sample("EM", "epochs"),
    "tap-sample": _per_sample("TAP", "surrogate_epochs"),
    "sep-sample": _per_sample("SEP", "surrogate_epochs"),
    "floor": _pattern("floor"),
    "lsp": _pattern("lsp"),
    "ar": _pattern("ar"),
}


def _made(found: Any) -> PerturberKind:
    """What an entry point leads to: a row."""
    if not isinstance(found, PerturberKind):
        raise TypeError("it must be a stages.perturbers.registry.PerturberKind")
    return found


PERTURBERS = Registry(GROUP, _ROWS, _made)
"""Our own, and those of installed packages."""


def network_of(spec: GeneratorSpec) -> nn.Module:
    """A fresh network; called with (images, labels, gray flags) it gives δ."""
    return PERTURBERS[spec.network].build(spec)


def passes_of(settings: Train) -> dict[str, int]:
    """Setting → passes of each part of a training."""
    phases = PERTURBERS[settings.perturber].phases(settings)
    return {phase.setting: getattr(settings, phase.setting) for phase in phases}
