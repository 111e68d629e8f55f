"""Class-mean removal: what the images of a class have in common is estimated by averaging, and subtracted.

The textbook attack on a δ that is the same for a whole class. With several tasks the means are those of a regression of
the pixels on the labels of all tasks (least squares, one column a class), so that each class loses its own share only.
Test images stay as they are: their labels are what the attacker wants to know. It takes the labels' own evidence out of
clean images too; the same treatment of clean data is the control that says how much of it.

`bound` caps what is subtracted at ±bound levels, as an attacker does who knows ε: stronger evidence of the image stays.

Shapes: N samples, R resolution, D = R·R·3 pixel values, J columns of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.learning.table import ImageTable
from stages.tasks.task_kind import TaskKind


@dataclass(frozen=True)
class ClassMeans(Countermeasure):
    """The victim learns from images without the mean of their classes."""

    bound: float | None = None
    """Most that is subtracted from a pixel value, in levels of 255; None: all of it."""

    def applies(self, kinds: Sequence[TaskKind]) -> bool:
        """Where a label is one for the whole image."""
        return not all(kind.dense for kind in kinds)

    def changed(self, data: Data) -> Data:
        """The training table alone is changed."""
        return replace(data, train=without_class_means(data.train, data.kinds, bound=self.bound))


def without_class_means(table: ImageTable, kinds: Sequence[TaskKind], *, bound: float | None = None) -> ImageTable:
    """The table with the regression of its pixels on its labels subtracted, as float16 in units of 0..255, unclipped.

    Args:
        table: N images.
        kinds: K tasks; a dense one has no mean and is passed over.
        bound: most that is subtracted from a pixel value, in levels of 255; None: all of it.
    """
    columns_NJ = label_columns(table, kinds)
    effects_JD = class_effects(table, columns_NJ)
    chunks, start = [], 0
    for chunk in table.chunks:
        common_ND = columns_NJ[start : start + len(chunk)] @ effects_JD
        if bound is not None:
            common_ND = np.clip(common_ND, -bound, bound)
        chunks.append((chunk - common_ND.reshape(chunk.shape)).astype(np.float16))
        start += len(chunk)
    return replace(table, chunks=tuple(chunks))


def label_columns(table: ImageTable, kinds: Sequence[TaskKind]) -> np.ndarray:
    """N×J float32, centred: an indicator of each value of a label that counts, a label that measures as it is."""
    columns = []
    for labels, kind in zip(table.labels, kinds, strict=True):
        if labels.ndim > 2:
            continue
        known_N = kind.known(torch.from_numpy(labels)).numpy()
        for label_N in labels.reshape(len(labels), -1).T:
            known_here_N = known_N if known_N.ndim == 1 else np.ones(len(labels), dtype=bool)
            if not known_here_N.any():
                continue
            if np.issubdtype(labels.dtype, np.floating):
                columns.append(np.where(known_here_N, label_N, label_N[known_here_N].mean()))
            else:
                columns += [(label_N == value) & known_here_N for value in np.unique(label_N[known_here_N])]
    columns_NJ = np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(table), 0), np.float32)
    centred: np.ndarray = columns_NJ - columns_NJ.mean(axis=0)
    return centred


def class_effects(table: ImageTable, columns_NJ: np.ndarray) -> np.ndarray:
    """J×D float32: least squares of the centred pixels on the columns, of least norm, chunk by chunk."""
    covered = 0
    products_JD = np.zeros((columns_NJ.shape[1], int(np.prod(table.chunks[0].shape[1:]))), np.float64)
    for chunk in table.chunks:  # centred columns: the pixels' own mean drops out
        products_JD += columns_NJ[covered : covered + len(chunk)].T @ chunk.reshape(len(chunk), -1).astype(np.float32)
        covered += len(chunk)
    gramian_JJ = columns_NJ.T.astype(np.float64) @ columns_NJ
    effects: np.ndarray = (np.linalg.pinv(gramian_JJ, rcond=1e-8, hermitian=True) @ products_JD).astype(np.float32)
    return effects
