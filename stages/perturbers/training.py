"""What every training of a perturber is given and gives back; and its state, so that a killed run goes on from there.

The state is a file of safetensors with one JSON text beside the tensors: nothing in it can run code when it is loaded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from schemas.plans import TrainPlan
from stages.learning.table import ImageTable

SAVE_SECONDS = 60.0
"""Time between two stored states, at least: a state of large surrogates is some 100 MB."""

FORMAT = 3
"""Of what trainings keep; a state of another format version is ignored."""

TREE = "tree"
"""Tensor that holds the JSON text, as bytes."""


@dataclass
class TrainingState:
    """Where a training keeps its state.

    Attributes:
        read: what was stored last; None when there is nothing.
        write: stores it as a whole or not at all.
        every: seconds between two stored states, at least.
    """

    read: Callable[[], bytes | None] = lambda: None
    write: Callable[[bytes], object] = lambda data: None
    every: float = SAVE_SECONDS
    last: float = 0.0

    def load(self) -> dict[str, Any] | None:
        """The state to go on from; None to begin. One that cannot be read is ignored."""
        self.last = time.monotonic()
        data = self.read()
        try:
            found = {} if data is None else unpacked(data)
            return found["state"] if found.get("format") == FORMAT else None
        except (SafetensorError, ValueError, KeyError):
            return None

    def save(self, state: Callable[[], dict[str, Any]]) -> None:
        """Store what `state()` gives, when the last time is long enough ago."""
        if time.monotonic() - self.last >= self.every:
            self.write(packed({"format": FORMAT, "state": state()}))
            self.last = time.monotonic()


def packed(state: dict[str, Any]) -> bytes:
    """Nested dicts, lists and tuples of tensors, numbers, texts and None.

    >>> unpacked(packed({"lr": (0.1, None), "maps": {0: torch.ones(2)}}))
    {'lr': (0.1, None), 'maps': {0: tensor([1., 1.])}}
    """
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_plain(state, tensors)).encode()
    return save({**tensors, TREE: torch.frombuffer(bytearray(text), dtype=torch.uint8)})


def unpacked(data: bytes) -> dict[str, Any]:
    """What was packed.

    Raises:
        SafetensorError, ValueError, KeyError: the data is damaged.
    """
    tensors = load(data)
    state: dict[str, Any] = _built(json.loads(bytes(tensors[TREE].tolist())), tensors)
    return state


def _plain(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # Tensors of one memory are stored each on its own.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):  # the keys of an optimiser are numbers, which JSON lacks
        return {"dict": [[key, _plain(inner, tensors)] for key, inner in value.items()]}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_plain(inner, tensors) for inner in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a training's state holds a {type(value).__name__}, which cannot be stored")


def _built(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {key: _built(each, tensors) for key, each in inner}
    return (tuple if kind == "tuple" else list)(_built(each, tensors) for each in inner)


@dataclass(frozen=True)
class Trained:
    """A perturber's network (in eval mode, on the CPU) and how its training went."""

    generator: nn.Module
    steps: int
    seconds: float
    losses: list[dict[str, float]]
    """Mean of each loss term per pass or round."""
    explained: float | None = None
    """Share of δ's variance that the labels explain (`generator/explained.py`); None: not measured."""


class Phase(NamedTuple):
    """A part of a training whose cost grows with one setting."""

    name: str
    """As progress shows it."""
    setting: str
    """Field of `Train` that says how many passes it has."""


class Report(Protocol):
    """Hears how far a training is."""

    def __call__(self, phase: str, done: int, total: int, losses: Mapping[str, float] = ..., /) -> None:
        """One more unit of a phase is done.

        Args:
            phase: its name.
            done: units so far.
            total: units in all.
            losses: mean of each loss term over the pass that is done; none where the unit is no pass.
        """


def unheard(phase: str, done: int, total: int, losses: Mapping[str, float] = MappingProxyType({}), /) -> None:
    """Report to nobody."""


class Trainer(Protocol):
    """Trains on a table; the same table, plan and number of threads give the same weights."""

    def __call__(
        self,
        table: ImageTable,
        plan: TrainPlan,
        device: torch.device,
        report: Report = ...,
        kept: TrainingState | None = ...,
    ) -> Trained:
        """Train a network.

        Args:
            table: images R×R with R = `plan.train.resolution`, labels of K tasks.
            plan: what decides the network.
            device: where to train.
            report: called for every unit that is done.
            kept: where a long training keeps its state, and from where it goes on; None: nowhere.

        Raises:
            GeneratorError: a loss is not finite.
        """
