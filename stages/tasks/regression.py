"""Regression: one number per image, learned as a number, embedded by the bin that it falls into.

    L = smooth L1 of (output, (y - mean) / deviation)        mean, deviation, bins of the training set (docs/method.md)

Shapes: B samples of a batch, N samples of a table, M embedding channels, h×w embedding maps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn
from torch.nn import functional

from schemas.tasks import MISSING, RegressionTask
from schemas.tasks.regression import Values
from stages.tasks.classification import ClassMaps
from stages.tasks.labels import plain
from stages.tasks.task_kind import LabelEmbedding, TaskKind


class BinMaps(LabelEmbedding):
    """One learnable M×h×w map per bin of values; a missing label takes the mean of them."""

    def __init__(self, edges: list[float], channels: int, side: int) -> None:
        super().__init__()
        self.edges = edges
        self.classes = ClassMaps(len(edges) + 1, channels, side)

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """B numbers to B×M×h×w."""
        maps: torch.Tensor = self.classes(self._bins(labels))
        return maps

    def neutral(self, count: int) -> torch.Tensor:
        """The mean map, `count` times."""
        return self.classes.neutral(count)

    @property
    def table(self) -> torch.Tensor:
        """All maps, (bins)×M×h×w."""
        return self.classes.table

    def rows(self, labels: torch.Tensor) -> torch.Tensor:
        """B numbers to their bins, with the number of bins for a missing one."""
        return self.classes.rows(self._bins(labels))

    def _bins(self, labels: torch.Tensor) -> torch.Tensor:
        edges = torch.tensor(self.edges, dtype=labels.dtype, device=labels.device)
        return torch.where(labels.isnan(), MISSING, torch.bucketize(labels, edges, right=True))


class Regression(TaskKind):
    """Numbers; a missing one is NaN."""

    task: RegressionTask

    def label(self, raw: Any) -> float:
        """A number."""
        return self.task.label(plain(raw))

    @property
    def missing(self) -> float:
        """NaN."""
        return math.nan

    def is_missing(self, label: Any) -> bool:
        """Whether it is NaN."""
        return math.isnan(label)

    def column(self, side: int) -> pa.DataType:
        """32-bit floats."""
        return pa.float32()

    def stored(self, column: pa.Array) -> np.ndarray:
        """N float32."""
        values: np.ndarray = column.to_numpy(zero_copy_only=False).astype(np.float32)
        return values

    def values_in(self, label: Any) -> np.ndarray:
        """The number."""
        return np.array([label])

    def fitted(self, labels: np.ndarray) -> RegressionTask:
        """With the bins, range, mean and deviation of these labels; without any known one, the task as it is."""
        known = labels[~np.isnan(labels)].astype(np.float64)
        if not len(known):
            return self.task
        edges = self.task.edges
        if edges is None:
            inner = np.quantile(known, np.arange(1, self.task.bins) / self.task.bins)
            # Labels are float32: an edge between two of them must not move when the batch compares in float32.
            found = sorted({float(np.float32(edge)) for edge in inner if edge > known.min()})
            edges = found or [float(np.float32(known.max()))]
        values = Values(
            edges=edges,
            low=float(known.min()),
            high=float(known.max()),
            mean=float(known.mean()),
            deviation=float(known.std()) or 1.0,
        )
        return self.task.model_copy(update={"values": values})

    def known(self, labels: torch.Tensor) -> torch.Tensor:
        """Where the label is not NaN."""
        return ~labels.isnan()

    def examples(self, count: int, side: int) -> torch.Tensor:
        """Numbers spread evenly over the range."""
        values = self._values
        return torch.linspace(values.low, values.high, count)

    def embedding(self, channels: int, side: int) -> BinMaps:
        """One map per bin."""
        return BinMaps(self._values.edges, channels, side)

    def head(self, features: int, *, bias: bool = True) -> nn.Module:
        """A linear layer to one standardised number."""
        return nn.Linear(features, 1, bias=bias)

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Smooth L1 of B×1 standardised numbers."""
        known_B = self.known(labels)
        if not bool(known_B.any()):
            return None
        wanted_B = (labels - self._values.mean) / self._values.deviation
        return functional.smooth_l1_loss(output[known_B, 0], wanted_B[known_B])

    def indecision(self, output: torch.Tensor) -> torch.Tensor:
        """Distance of B×1 standardised numbers from the mean, squared."""
        return output.square().mean()

    def target(self, labels: torch.Tensor) -> torch.Tensor:
        """y' = low + high - y, mirrored inside the range of the training set; NaN stays NaN."""
        return self._values.low + self._values.high - labels

    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """B numbers in the label's unit."""
        return output[:, 0] * self._values.deviation + self._values.mean

    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Mean absolute error, and R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)²."""
        known = ~np.isnan(labels)
        if not known.any():
            return {"mae": 0.0, "r2": 0.0}
        found, wanted = predicted[known].astype(np.float64), labels[known].astype(np.float64)
        spread = np.square(wanted - wanted.mean()).sum()
        r2 = 1 - np.square(wanted - found).sum() / spread if spread > 0 else 0.0
        return {"mae": float(np.abs(found - wanted).mean()), "r2": float(r2)}

    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """The error of always answering the median; an R² of 0, that of the mean."""
        known = labels[~np.isnan(labels)].astype(np.float64)
        return {"mae": float(np.abs(known - np.median(known)).mean()) if len(known) else 0.0, "r2": 0.0}

    @property
    def _values(self) -> Values:
        if self.task.values is None:
            raise ValueError(f"task {self.task.name!r}: its bins are not fitted; `fitted` comes before any training")
        return self.task.values
