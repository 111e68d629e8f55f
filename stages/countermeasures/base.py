"""The contract of a countermeasure: it changes the data that a victim learns from, or how the victim is trained.

A new one is one file with a class that derives from `Countermeasure`, a line in `registry.py`, and its name in
`CountermeasureName` (schemas/training.py). Its docstring gives source and parameters.

Shapes: B images of a batch, C channels, H×W pixels, K tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stages.learning.table import ImageTable
from stages.tasks.base import TaskKind


@dataclass(frozen=True)
class Data:
    """What a victim learns from and what it is tested on, as an attacker holds it."""

    train: ImageTable
    """Clean, noise or protected: the attacker does the same to all of them."""
    test: ImageTable
    """Clean held-out images. What a countermeasure does to them is what the attacker's model does to all that it is
    shown; their labels are out of its reach."""
    kinds: Sequence[TaskKind]
    """K tasks whose labels the attacker has."""
    seed: int


class Countermeasure:
    """Leaves everything as it is; each countermeasure replaces the part that is its own."""

    def changed(self, data: Data) -> Data:
        """The data that the victim sees, before its training begins; the same data and seed give the same result."""
        return data
