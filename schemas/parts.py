"""Which settings of a training have a part in which perturber: a setting that decides nothing is refused."""

from __future__ import annotations

LENGTHS = ("rounds", "epochs", "surrogate_epochs")
"""Settings that say how long a training is; a perturber with another one of them has that instead."""

_SURROGATES = ("backbones", "width", "weights", "weighting")
_CLEAN = ("surrogate_epochs", "targeted")
_GENERATOR = ("method", "generator", "epochs", "batch_size", "lambda_intra", "lambda_inter")

METHODS: dict[str, tuple[str, ...]] = {
    "em": (*_SURROGATES, "robust"),
    "fresh": ("robust",),
    "pil": ("surrogate_epochs",),
    "sep": (*_SURROGATES, *_CLEAN, "robust"),
    "tap": (*_SURROGATES, *_CLEAN, "robust"),
}
"""Base method of a generator → settings that it has besides those of every generator."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "codes": ("rounds", "batch_size", "robust"),
    "generator": _GENERATOR,
    **{f"generator with method {name}": (*_GENERATOR, *own) for name, own in METHODS.items()},
    "pil": ("surrogate_epochs", "batch_size"),
    "em-sample": ("epochs", "batch_size", *_SURROGATES),
    "tap-sample": ("batch_size", *_SURROGATES, *_CLEAN),
    "sep-sample": ("batch_size", *_SURROGATES, *_CLEAN),
    "floor": (),
    "lsp": (),
    "ar": (),
}
"""What is trained → settings that not every perturber has. Every perturber has those that stand in no row: `augment` is
also that of the victims, `max_samples` bounds the training cache."""


def has_part(key: str, perturber: str, method: str) -> bool:
    """Whether a setting decides anything; `method` is that of a generator."""
    made = _trained(key, perturber, method)
    if made not in SETTINGS:  # another package's: it decides itself what it reads
        return True
    return key in SETTINGS[made] or not _with(key)


def no_part(key: str, perturber: str, method: str) -> str:
    """The sentence that refuses a setting: the perturber, the right key, and what has this one."""
    made = _trained(key, perturber, method)
    instead = [name for name in LENGTHS if name in SETTINGS[made] and key in LENGTHS]
    advice = f"set train.{instead[0]} instead" if instead else "leave it out"
    return f"has no part in perturber {made}; {advice}; it belongs to: {', '.join(_with(key))}"


def _trained(key: str, perturber: str, method: str) -> str:
    """Name in `SETTINGS`; the method matters only for settings of some methods."""
    matters = perturber == "generator" and key not in _GENERATOR and any(key in own for own in METHODS.values())
    return f"generator with method {method}" if matters else perturber


def _with(key: str) -> list[str]:
    """Everything that has a setting, the generator once where all its methods have it."""
    owners = [made for made, own in SETTINGS.items() if key in own]
    return [made for made in owners if not ("generator" in owners and made.startswith("generator with"))]
