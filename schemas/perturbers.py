"""The settings of each perturber, one row each: a setting that decides nothing in the chosen perturber is refused.

The settings are fields of one model (`Train`), not of a union of models. A plan's fingerprint is the flat record of all
that differs from the defaults, and fingerprints of finished work must stay. The rows refuse what a union would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from schemas.plugins import PERTURBERS, Offered, or_installed

OwnPerturber = Literal["codes", "generator", "pil", "em-sample", "tap-sample", "sep-sample", "floor", "lsp", "ar"]
"""Every perturber of our own; its network and its training are a row in `stages/perturbers/registry.py`."""

PerturberName = Annotated[OwnPerturber, or_installed(PERTURBERS), Offered(PERTURBERS)]
"""Our own, or one of an installed package."""

MethodName = Literal["em", "fresh", "pil", "sep", "tap"]
"""Every base method of a generator."""

LENGTHS = ("rounds", "epochs", "surrogate_epochs")
"""Settings that say how long a training is; a perturber with another one of them has that instead."""

SURROGATES = ("backbones", "width", "weights", "weighting")
CLEAN = ("surrogate_epochs", "targeted")


@dataclass(frozen=True)
class Settings:
    """What a perturber takes besides the settings of all, which stand in no row (`seed`, `resolution` and the like)."""

    keys: tuple[str, ...] = ()
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Base method (`train.method`) → settings that it has besides `keys`."""
    keeps_surrogates: bool = False
    """Whether its network needs surrogates also when it gives δ."""
    snapshots: bool = False
    """Whether these are snapshots of one training."""


SETTINGS: dict[str, Settings] = {
    "codes": Settings(("rounds", "batch_size", "robust")),
    "generator": Settings(
        ("method", "generator", "epochs", "batch_size", "lambda_intra", "lambda_inter"),
        methods={
            "em": (*SURROGATES, "robust"),
            "fresh": ("robust",),
            "pil": ("surrogate_epochs",),
            "sep": (*SURROGATES, *CLEAN, "robust"),
            "tap": (*SURROGATES, *CLEAN, "robust", "surrogate_sizes"),
        },
    ),
    "pil": Settings(("surrogate_epochs", "batch_size")),
    "em-sample": Settings(("epochs", "batch_size", *SURROGATES), keeps_surrogates=True),
    "tap-sample": Settings(("batch_size", *SURROGATES, *CLEAN), keeps_surrogates=True),
    "sep-sample": Settings(("batch_size", *SURROGATES, *CLEAN), keeps_surrogates=True, snapshots=True),
    "floor": Settings(),
    "lsp": Settings(),
    "ar": Settings(),
}
"""Perturber → its settings."""


def has_part(key: str, perturber: str, method: str) -> bool:
    """Whether a setting decides anything; `method` is that of a generator. A perturber without a row has none."""
    row = SETTINGS.get(perturber, Settings())
    return key in row.keys or key in row.methods.get(method, ()) or not _owners(key)


def no_part(key: str, perturber: str, method: str) -> str:
    """The sentence that refuses a setting: the perturber, the right key, and what has this one."""
    row = SETTINGS[perturber]
    of_a_method = any(key in own for own in row.methods.values())
    instead = [name for name in LENGTHS if key in LENGTHS and has_part(name, perturber, method if of_a_method else "")]
    advice = f"set train.{instead[0]} instead" if instead else "leave it out"
    shown = _with_method(perturber, method) if of_a_method else perturber
    return f"has no part in perturber {shown}; {advice}; it belongs to: {', '.join(_owners(key))}"


def _owners(key: str) -> list[str]:
    """Everything that has a setting: a perturber, or some of its methods."""
    return list(_each_owner(key))


def _each_owner(key: str) -> Iterator[str]:
    for name, row in SETTINGS.items():
        if key in row.keys:
            yield name
        else:
            yield from (_with_method(name, method) for method, own in row.methods.items() if key in own)


def _with_method(perturber: str, method: str) -> str:
    return f"{perturber} with method {method}"
