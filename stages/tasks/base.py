"""The contract of a kind of task: all that the pipeline ever asks of one.

A new kind is one file with a class that derives from `TaskKind`, its model in `schemas/tasks.py`, and a line in
`registry.py`. Nothing outside asks which kind a task is.

Shapes: B samples of a batch, N samples of a table, M embedding channels, h×w embedding maps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from schemas.tasks import Task


class LabelEmbedding(nn.Module, ABC):
    """From the labels of one task to the maps that the generator's decoder sees."""

    @abstractmethod
    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """B labels to B×M×h×w; a missing label gives `neutral`."""

    @abstractmethod
    def neutral(self, count: int) -> torch.Tensor:
        """What a task shows that is not to be protected: `count`×M×h×w, the same for every label."""

    @property
    @abstractmethod
    def table(self) -> torch.Tensor | None:
        """C×M×h×w, one map a class, for the regularisers; None where there are no classes."""


class TaskKind(ABC):
    """One task of one kind.

    Args:
        task: its configuration.
    """

    metrics: ClassVar[tuple[str, ...]]
    """Names of the figures that `scores` gives, in 0..1, larger for a better victim; the first decides a verdict."""

    def __init__(self, task: Task) -> None:
        self.task = task

    @abstractmethod
    def label(self, raw: Any) -> Any:
        """The raw value of a field (JSON, text, column) as a label, or `missing`.

        Raises:
            SampleError: the value is no label of this task.
        """

    @property
    @abstractmethod
    def missing(self) -> Any:
        """The label of a sample that has none."""

    @property
    @abstractmethod
    def column(self) -> pa.DataType:
        """Arrow type of the labels in a table."""

    @abstractmethod
    def stored(self, column: pa.Array) -> np.ndarray:
        """The labels of a table's column, first axis N, as `torch.from_numpy` takes them."""

    @abstractmethod
    def known(self, labels: torch.Tensor) -> torch.Tensor:
        """B bool: which samples have a label."""

    @abstractmethod
    def examples(self, count: int) -> torch.Tensor:
        """`count` made-up labels that differ from each other as far as the task allows."""

    @abstractmethod
    def embedding(self, channels: int, side: int) -> LabelEmbedding:
        """A fresh embedding of M = `channels`, h = w = `side`."""

    @abstractmethod
    def head(self, units: int, *, bias: bool = True) -> nn.Module:
        """A fresh head on the shared features, B×`units`; without `bias`, zeros give an output that says nothing."""

    @abstractmethod
    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Mean loss over the samples with a label; None where no sample has one."""

    @abstractmethod
    def indecision(self, output: torch.Tensor) -> torch.Tensor:
        """A loss that is least where a head's output prefers no answer."""

    @abstractmethod
    def target(self, labels: torch.Tensor) -> torch.Tensor:
        """Adversarial labels of the same shape; a missing one stays missing."""

    @abstractmethod
    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """What a head's output says, in the shape of the labels."""

    @abstractmethod
    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Metric → figure over the samples with a label; 0 where no sample has one."""

    @abstractmethod
    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """Metric → what a model reaches on these labels that never looks at an image."""
