"""Classification: one class index per image, and what every kind with classes has in common.

Shapes: B samples of a batch, N samples of a table, C classes, M embedding channels, h×w embedding maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from torch import nn
from torch.nn import functional

from schemas.tasks import MISSING, BinaryTask, ClassificationTask
from stages.tasks.labels import plain
from stages.tasks.task_kind import LabelEmbedding, TaskKind


class ClassMaps(LabelEmbedding):
    """One learnable M×h×w map per class; a missing label takes the mean of them."""

    def __init__(self, classes: int, channels: int, side: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(classes, channels, side, side))

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """B class indices to B×M×h×w."""
        known_B = labels != MISSING
        maps = self.maps[labels.clamp(min=0)]
        return maps if bool(known_B.all()) else torch.where(known_B[:, None, None, None], maps, self.neutral(1))

    def neutral(self, count: int) -> torch.Tensor:
        """The mean map, `count` times."""
        return self.maps.mean(dim=0, keepdim=True).expand(count, -1, -1, -1)

    @property
    def table(self) -> torch.Tensor:
        """All maps, C×M×h×w."""
        return self.maps

    def rows(self, labels: torch.Tensor) -> torch.Tensor:
        """B class indices, with C for a missing one."""
        return torch.where(labels == MISSING, len(self.maps), labels)


class ClassKind(TaskKind):
    """C classes; labels are 0..C-1, or `MISSING`."""

    task: ClassificationTask | BinaryTask

    @property
    def missing(self) -> int:
        """-1."""
        return MISSING

    def is_missing(self, label: Any) -> bool:
        """Whether it is -1."""
        return bool(label == MISSING)

    def column(self, side: int) -> pa.DataType:
        """32-bit integers."""
        return pa.int32()

    def stored(self, column: pa.Array) -> np.ndarray:
        """N int64."""
        values: np.ndarray = column.to_numpy(zero_copy_only=False).astype(np.int64)
        return values

    def classes_in(self, label: Any) -> np.ndarray:
        """One of its class."""
        return np.bincount([label], minlength=self.task.class_count)

    def known(self, labels: torch.Tensor) -> torch.Tensor:
        """Where the label is not -1."""
        return labels != MISSING

    def examples(self, count: int, side: int) -> torch.Tensor:
        """0, 1, …, C-1, 0, …"""
        return torch.arange(count) % self.task.class_count

    def embedding(self, channels: int, side: int) -> ClassMaps:
        """One map per class."""
        return ClassMaps(self.task.class_count, channels, side)

    def head(self, features: int, *, bias: bool = True) -> nn.Module:
        """A linear layer to C logits."""
        return nn.Linear(features, self.task.class_count, bias=bias)

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Cross-entropy of B×C logits."""
        if not bool(self.known(labels).any()):
            return None
        return functional.cross_entropy(output, labels, ignore_index=MISSING)

    @classmethod
    def losses(
        cls, kinds: Sequence[Self], outputs: Sequence[torch.Tensor], labels: Sequence[torch.Tensor]
    ) -> list[torch.Tensor | None]:
        """Cross-entropies of tasks of equal numbers of classes at once: of forty in a tenth of the time."""
        if len({output.shape for output in outputs}) > 1:
            return super().losses(kinds, outputs, labels)
        labels_KB = torch.stack(list(labels))
        counts_K = (labels_KB != MISSING).sum(dim=1)
        present = counts_K.nonzero()[:, 0].tolist()  # of the others nothing may get a gradient
        losses: list[torch.Tensor | None] = [None] * len(kinds)
        if present:
            logits_KBC = torch.stack([outputs[number] for number in present])
            each_KB = functional.cross_entropy(
                logits_KBC.flatten(0, 1), labels_KB[present].flatten(), ignore_index=MISSING, reduction="none"
            ).unflatten(0, logits_KBC.shape[:2])
            for number, loss in zip(present, (each_KB.sum(dim=1) / counts_K[present]).unbind(), strict=True):
                losses[number] = loss
        return losses

    def indecision(self, output: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of B×C logits with equal shares."""
        return -functional.log_softmax(output, dim=1).mean()

    def target(self, labels: torch.Tensor) -> torch.Tensor:
        """y' = (y + ⌊C/2⌋) mod C (Fowl et al., 2021; docs/method.md); of two classes the other one.

        Example:
            >>> from schemas.tasks import Task
            >>> Classification(Task(field="json.a", classes=5)).target(torch.tensor([0, 4, -1])).tolist()
            [2, 1, -1]
        """
        count = self.task.class_count
        return torch.where(labels == MISSING, labels, (labels + count // 2) % count)

    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Accuracy, and balanced accuracy: mean recall over the classes that occur."""
        known = labels != MISSING
        if not known.any():
            return {"balanced_accuracy": 0.0, "accuracy": 0.0}
        right, labels = predicted[known] == labels[known], labels[known]
        recalls = [right[labels == label].mean() for label in np.unique(labels)]
        return {"balanced_accuracy": float(np.mean(recalls)), "accuracy": float(right.mean())}

    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """1/C, and the share of the most frequent class."""
        counts = np.bincount(labels[labels != MISSING], minlength=1)
        return {"balanced_accuracy": 1 / self.task.class_count, "accuracy": float(counts.max() / max(1, counts.sum()))}


class Classification(ClassKind):
    """One of C classes per image."""

    task: ClassificationTask

    def label(self, raw: Any) -> int:
        """A class index or name to a class index."""
        return self.task.label(plain(raw))

    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """The most likely class of B×C logits."""
        return output.argmax(dim=1)
