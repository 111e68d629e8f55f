"""Binary: yes or no per image; also one finding of a multi-label set.

Shapes: B samples of a batch, N samples of a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from schemas.tasks import MISSING, BinaryTask
from stages.tasks.classification import ClassKind
from stages.tasks.labels import plain


class Binary(ClassKind):
    """Two classes, no and yes; labels are 0, 1 or `MISSING`. What is predicted is the probability of yes."""

    task: BinaryTask

    def label(self, raw: Any) -> int:
        """A spelling of yes or no to 1 or 0."""
        return self.task.label(plain(raw))

    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """P(yes) of B×2 logits."""
        return output.softmax(dim=1)[:, 1]

    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Accuracy and balanced accuracy at P(yes) > 1/2, and AUC."""
        return {**super().scores(predicted > 0.5, labels), "auc": auc(predicted, labels)}

    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """1/2, the share of the more frequent class, and 1/2."""
        return {**super().chance(labels), "auc": 0.5}


def auc(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive is rated above a negative, ties counting half.

    The Mann-Whitney statistic from mean ranks; 1/2 where one of the classes is absent.

    Args:
        predicted: N ratings.
        labels: N of 0, 1, or `MISSING`, which are left out.

    >>> auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1, 1, 0, 0]))
    0.875
    """
    ratings, positive = predicted[labels != MISSING], labels[labels != MISSING] == 1
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return 0.5
    _, places, counts = np.unique(ratings, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((mean_ranks[places][positive].sum() - yes * (yes + 1) / 2) / (yes * no))
