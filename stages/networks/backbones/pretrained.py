"""Weights that were trained elsewhere, from a local file with torchvision's names or the backbone's own."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from schemas.errors import ConfigError
from stages.networks.backbones.backbone import Backbone

CLASSIFIERS = ("fc.", "classifier.", "heads.")
"""Beginnings of the names that belong to torchvision's classifiers; we have heads of our own."""

OLD_NAMES = (
    (re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)
"""Spellings that torchvision's published files still have, and today's."""

COUNTER = ".num_batches_tracked"
"""End of the one name that old files lack: batch norm counts its batches and never uses the count."""


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file (`.safetensors`) or of a torch state dict (any other name); no code in it is run.

    Raises:
        ConfigError: the file is missing or is neither.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"{path}: pretrained weights cannot be read ({error.strerror or error})") from None
    except (
        SafetensorError,
        pickle.UnpicklingError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{path}: neither safetensors nor a torch state dict that loads without running code ({reason}); save the "
            "weights again with torch.save(model.state_dict(), …)"
        ) from None
    named = isinstance(found, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in found.items()
    )
    if not named:
        raise ConfigError(f"{path}: not a state dict, which is tensors by name; save model.state_dict() alone")
    weights: dict[str, torch.Tensor] = dict(found)
    return weights


def our_name(backbone: Backbone, name: str) -> str:
    """Ours of one of torchvision's names; one that is not theirs stays."""
    for pattern, today in OLD_NAMES:
        name = pattern.sub(today, name)
    for theirs, ours in backbone.torchvision_names.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def first_of(names: Iterable[str]) -> str:
    """The first three of some names, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def misfits(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> list[str]:
    """What keeps weights from being loaded, in words; empty: nothing."""
    both = [name for name in wanted if name in found]
    shapes = (
        f"{name} {list(found[name].shape)} instead of {list(wanted[name].shape)}"
        for name in both
        if found[name].shape != wanted[name].shape
    )
    kinds = {
        "missing": first_of(name for name in wanted if name not in found and not name.endswith(COUNTER)),
        "unknown": first_of(name for name in found if name not in wanted),
        "of another shape": first_of(shapes),
        "not finite": first_of(name for name in both if not bool(found[name].isfinite().all())),
    }
    return [f"{kind}: {names}" for kind, names in kinds.items() if names]


def load_pretrained(backbone: Backbone, path: str | Path) -> None:
    """Give a backbone the weights of a local file; nothing is downloaded.

    Strict: every weight of the backbone comes from the file and every weight of the file is used, but for torchvision's
    classifier. Nothing is loaded when anything does not fit. Only a backbone at the standard width, with the stem or
    patches of large images, has the shapes of torchvision's files. Those expect ImageNet's mean and deviation of each
    channel. Our models normalise to (x - 0.5) / 0.25, which is close; fine-tuning removes the rest.

    Args:
        backbone: is changed in place; its memory layout and device stay.
        path: safetensors, or a torch state dict, with the names of torchvision's network of this architecture, or with
            the backbone's own.

    Raises:
        ConfigError: the file cannot be read, or the weights do not fit.
    """
    path, kind = Path(path), type(backbone).__name__
    weights = {
        our_name(backbone, name): value
        for name, value in read_weights(path).items()
        if not name.startswith(CLASSIFIERS)
    }
    state = backbone.state_dict()
    problems = misfits(state, weights)
    if problems:
        hint = (
            "give torchvision's weights of this architecture, and build the backbone with width 64 for images of 224 px"
            if backbone.torchvision_names
            else "it is none of torchvision's networks; give a state dict of this very one"
        )
        raise ConfigError(f"{path}: the weights do not fit {kind} ({'; '.join(problems)}); {hint}")
    backbone.load_state_dict({**state, **weights})
