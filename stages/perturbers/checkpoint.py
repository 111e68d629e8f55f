"""Generators in the private place: safetensors beside JSON, loaded strictly and checked against their hash."""

from __future__ import annotations

import hashlib

import torch
from safetensors.torch import load, save
from torch import nn

from schemas.errors import GeneratorError, ValidationError
from schemas.records import GeneratorRecord
from stages.io.store.store import Store
from stages.learning.optimise import to_device
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import network_of


def weights_name(sha256: str) -> str:
    """Object name of a generator's weights below `work`: no training overwrites those of another."""
    return f"generators/{sha256}.safetensors"


def serialise(generator: nn.Module) -> bytes:
    """Weights as safetensors; the same weights give the same bytes."""
    return save({name: value.contiguous() for name, value in generator.state_dict().items()})


def load_generator(store: Store, record: GeneratorRecord, device: torch.device) -> nn.Module:
    """The generator of a record, in eval mode on a device.

    Raises:
        ValidationError: the weights are not those of the record.
    """
    name, older = weights_name(record.sha256), weights_name(record.fingerprint)
    if store.stat(name) is None and store.stat(older) is not None:  # named as earlier versions did
        name = older
    data = store.read(name)
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise ValidationError(
            f"{store.join(name)}: the weights are not those that were trained "
            "(sha256 differs); restore the file, or train again with --retrain"
        )
    try:
        generator = network_of(record.spec)
        generator.load_state_dict(load(data), strict=True)
    except (GeneratorError, RuntimeError) as error:
        raise ValidationError(
            f"{store.join(name)}: the weights do not fit their record ({error}); train again with --retrain"
        ) from None
    return to_device(generator, device).eval().requires_grad_(False)


_loaded: dict[tuple[str, str], GeneratorPerturber] = {}


def cached_perturber(store: Store, record: GeneratorRecord, device: torch.device) -> GeneratorPerturber:
    """The generator of a record as a perturber, once per process and device; only the newest is kept.

    Raises:
        ValidationError: as `load_generator`.
        GeneratorError: it protects nothing.
    """
    key = (record.content, str(device))
    if key not in _loaded:
        perturber = GeneratorPerturber(load_generator(store, record, device), record.content)
        _loaded.clear()
        _loaded[key] = perturber
    return _loaded[key]
