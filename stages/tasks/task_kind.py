"""The contract of a kind of task: all that the pipeline ever asks of one.

A new kind is one file with a class that derives from `TaskKind`, its model in `schemas/tasks/` (in `AnyTask`), and a
line in `kinds.py`. Nothing outside asks which kind a task is.

A label's way: `labels_of` finds the member and parses it by its form (`stages/tasks/labels.py`) → `label` makes a label
of the raw value → `check` holds it against its image → `viewed` brings it to the canonical view, side R → `cell` writes
it into a `column` of the table → `stored` maps it back, first axis N (`resized` for another R) → `torch.from_numpy` →
`embedding`, `loss`, `target`, `moved`. A compact type in the column (uint8, float16) is fine: the kind widens it where
it computes.
What is counted for profile, card and report: `classes_in` (one count a class) or `values_in` (a histogram of numbers).
`fitted` looks once at the labels that are learned from; what it finds is stored in the generator's specification.

A kind with `dense = True` has a label for each pixel, H×W first of its axes. Its head sees feature maps, B×F×h×w, and
its output is brought to the image's size before `loss` and `predicted`. The other heads see B×F.

Shapes: B samples of a batch, N samples of a table, F features, M embedding channels, h×w maps, R canonical side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from schemas.metrics import Metric
from schemas.tasks import Task
from stages.transforms.movement import Movement


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

    def rows(self, labels: torch.Tensor) -> torch.Tensor:
        """B labels to the number of the map in `table` that each shows; C for a missing one, which shows `neutral`."""
        raise NotImplementedError("there are no classes")


class TaskKind(ABC):
    """One task of one kind.

    Args:
        task: its configuration.
    """

    dense: ClassVar[bool] = False
    """Whether the label has a value for each pixel."""

    def __init__(self, task: Task) -> None:
        self.task = task

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The figures that `scores` gives; the first decides a verdict."""
        return self.task.metrics

    @abstractmethod
    def label(self, raw: Any) -> Any:
        """The raw value of a field as a label, or `missing`.

        Args:
            raw: a JSON value, the text of a text member, an array (npy), the bytes of any other member. None where the
                member or a key on the way is missing.

        Raises:
            SampleError: the value is no label of this task.
        """

    @property
    @abstractmethod
    def missing(self) -> Any:
        """The label of a sample that has none."""

    @abstractmethod
    def is_missing(self, label: Any) -> bool:
        """Whether a label is `missing`."""

    def check(self, label: Any, height: int, width: int) -> None:  # noqa: B027 - a label without places fits any image
        """Compare a label that is not missing with the size of its image in pixels.

        Raises:
            SampleError: it does not belong to such an image (a mask of another size).
        """

    def viewed(self, label: Any, side: int) -> Any:
        """The label as it belongs to the canonical view of its image, `side`×`side`; a missing one stays missing."""
        return label

    def resized(self, labels: np.ndarray, side: int) -> np.ndarray:
        """The labels of a table, first axis N, as they belong to its images at `side`×`side`."""
        return labels

    @abstractmethod
    def column(self, side: int) -> pa.DataType:
        """Arrow type of the labels in a table of images `side`×`side`."""

    def cell(self, label: Any) -> Any:
        """A label of the canonical view as Arrow takes it."""
        return label

    @abstractmethod
    def stored(self, column: pa.Array) -> np.ndarray:
        """The labels of a table's column, first axis N, as `torch.from_numpy` takes them."""

    def classes_in(self, label: Any) -> np.ndarray:
        """How often each class occurs in a label that is not missing, C integers; none where there are no classes."""
        return np.zeros(0, dtype=np.int64)

    def values_in(self, label: Any) -> np.ndarray:
        """The numbers in a label that is not missing, of which a histogram is kept; none where it holds classes."""
        return np.zeros(0)

    def picture(self, label: Any) -> np.ndarray:
        """A label with a value per pixel for people to look at, H×W×3 uint8."""
        raise NotImplementedError(f"a label of kind {self.task.kind} is no picture")

    def fitted(self, labels: np.ndarray) -> Task:
        """The task, with what this kind must know of the labels that are learned from (N of them, as `stored`)."""
        return self.task

    @abstractmethod
    def known(self, labels: torch.Tensor) -> torch.Tensor:
        """B bool: which samples have a label."""

    @abstractmethod
    def examples(self, count: int, side: int) -> torch.Tensor:
        """`count` made-up labels of images `side`×`side` that differ from each other as far as the task allows."""

    def moved(self, labels: torch.Tensor, movement: Movement) -> torch.Tensor:
        """The labels of images that augmentation has moved; what comes in from outside has no label."""
        return labels

    @abstractmethod
    def embedding(self, channels: int, side: int) -> LabelEmbedding:
        """A fresh embedding of M = `channels`, h = w = `side`."""

    def codes(self, channels: int, side: int) -> LabelEmbedding:
        """Fresh class codes, M = `channels`, as large as an image `side`×`side`: what is added to it for its label."""
        return self.embedding(channels, side)

    @abstractmethod
    def head(self, features: int, *, bias: bool = True) -> nn.Module:
        """A fresh head on B×F (dense: B×F×h×w), F = `features`; without `bias`, zeros give one that says nothing."""

    def quick_head(self, features: int) -> nn.Module:
        """A head that learns within a few steps, for the small networks that class codes are learned against."""
        return self.head(features)

    @abstractmethod
    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Mean loss over the samples with a label; None where no sample has one."""

    @classmethod
    def losses(
        cls, kinds: Sequence[Self], outputs: Sequence[torch.Tensor], labels: Sequence[torch.Tensor]
    ) -> list[torch.Tensor | None]:
        """`loss` of several tasks of this very kind; a kind that computes them faster at once does so."""
        return [kind.loss(*each) for kind, *each in zip(kinds, outputs, labels, strict=True)]

    @abstractmethod
    def indecision(self, output: torch.Tensor) -> torch.Tensor:
        """A loss that is least where a head's output prefers no answer."""

    @abstractmethod
    def target(self, labels: torch.Tensor) -> torch.Tensor:
        """Adversarial labels of the same shape; a missing one stays missing."""

    @abstractmethod
    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """What a head's output says of each sample, as `scores` takes it; first axis B."""

    @abstractmethod
    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Metric's name → figure over the samples with a label; where no sample has one, none above chance."""

    @abstractmethod
    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """Metric's name → what a model reaches on these labels that never looks at an image."""
