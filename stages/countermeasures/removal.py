"""Countermeasures that take what a class has in common out of the images.

Shapes: N samples, R resolution, D = R·R·3 pixel values, J columns of labels or directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.learning.optimise import Optimisation
from stages.learning.table import ImageTable
from stages.tasks.task_kind import TaskKind


@dataclass(frozen=True)
class ClassMeans(Countermeasure):
    """The victim learns from images without the mean of their classes.

    Class-mean removal: what the images of a class have in common is estimated by averaging, and subtracted.

    The textbook attack on a δ that is the same for a whole class. With several tasks the means come from a regression
    of the pixels on the labels of all tasks (least squares, one column a class). So each class loses its own share
    only. Test images stay as they are: their labels are what the attacker wants to know. It takes the labels' own
    evidence out of clean images too. The same treatment of clean data is the control that shows how much.

    `bound` caps what is subtracted at ±bound levels, as an attacker does who knows ε: stronger evidence of the image
    stays.
    """

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


EPOCHS, BATCH = 20, 128


@dataclass(frozen=True)
class Projection(Countermeasure):
    """The victim sees only what a linear classifier of the training images does not look at.

    Orthogonal projection: the most predictive linear directions of the training images are taken out of every image.

    Sandoval-Segura et al., NeurIPS 2023, "What can we learn from unlearnable datasets?", section 4.4: a linear
    classifier is trained on the pixels of the protected images; shortcuts that are the same for a whole class are just
    what it finds. Its weights W_k, one row a class, span a space; images are projected onto what is orthogonal to it: x
    − QQᵀx, Q an orthonormal basis. Here each task has its rows, and all of them are taken out together. `of="means"`
    takes the directions of the class means (`ClassMeans`) instead: what is the same for a whole class lies in them
    entirely, where a classifier's weights also follow the noise of the samples that it has seen.

    Parameters: 20 passes from zero, Adam 1e-3, batches of 128. The images stay in half precision, neither rounded nor
    cut to 0..255: that would bring back a part of what was taken out.
    """

    of: Literal["classifier", "means"] = "classifier"
    """Whose directions are taken out."""

    def applies(self, kinds: Sequence[TaskKind]) -> bool:
        """Where a label is one for the whole image."""
        return not all(kind.dense for kind in kinds)

    def changed(self, data: Data) -> Data:
        """Both tables without the directions that predict the training labels."""
        if self.of == "means":
            directions_JD = mean_directions(data.train, data.kinds)
        else:
            directions_JD = predictive_directions(data.train, data.kinds, seed=data.seed)
        train, test = (projected(table, directions_JD) for table in (data.train, data.test))
        return replace(data, train=train, test=test)


def predictive_directions(
    table: ImageTable, kinds: Sequence[TaskKind], *, seed: int = 0, epochs: int = EPOCHS
) -> torch.Tensor:
    """Orthonormal directions in pixel space that linear heads of the K tasks use: J×D float32 on the CPU.

    Tasks whose head is no linear layer over the whole image (dense ones) add none.
    """
    units = int(np.prod(table.chunks[0].shape[1:]))
    with torch.random.fork_rng(devices=[]):
        heads = {number: kind.head(units) for number, kind in enumerate(kinds) if not kind.dense}
    linear = {number: head for number, head in heads.items() if isinstance(head, nn.Linear)}
    if not linear:
        return torch.empty(0, units)
    for parameter in (parameter for head in linear.values() for parameter in head.parameters()):
        nn.init.zeros_(parameter)  # a random start would stay in the weights, as directions that predict nothing
    rng = torch.Generator().manual_seed(seed)
    optimisation = Optimisation([p for head in linear.values() for p in head.parameters()], epochs=epochs)
    for _ in range(epochs):
        for batch in table.batches(BATCH, rng, torch.device("cpu")):
            x_BD = batch.x_BCHW.permute(0, 2, 3, 1).flatten(1) - 0.5
            losses = [kinds[number].loss(head(x_BD), batch.labels[number]) for number, head in linear.items()]
            known = [loss for loss in losses if loss is not None]
            if known:
                optimisation.clear()
                torch.stack(known).sum().backward()
                optimisation.step()
        optimisation.end_epoch()
    return _orthonormal(torch.cat([head.weight.detach() for head in linear.values()]))


def mean_directions(table: ImageTable, kinds: Sequence[TaskKind]) -> torch.Tensor:
    """Orthonormal directions in pixel space in which the classes of the K tasks differ in the mean: J×D float32."""
    return _orthonormal(torch.from_numpy(class_effects(table, label_columns(table, kinds))))


def _orthonormal(rows_JD: torch.Tensor) -> torch.Tensor:
    """An orthonormal basis of what the rows span; the effects of C classes span C - 1 directions."""
    _, sizes_J, basis_JD = torch.linalg.svd(rows_JD, full_matrices=False)
    spanned: torch.Tensor = basis_JD[sizes_J > 1e-4 * sizes_J.max()] if len(sizes_J) else basis_JD
    return spanned


def projected(table: ImageTable, directions_JD: torch.Tensor) -> ImageTable:
    """The table with its images orthogonal to J orthonormal directions, as float16 in units of 0..255, unclipped."""
    basis_JD, chunks = directions_JD.numpy(), []
    for chunk in table.chunks:
        flat_ND = chunk.reshape(len(chunk), -1).astype(np.float32)
        centred_ND = flat_ND - 127.5
        chunks.append((flat_ND - (centred_ND @ basis_JD.T) @ basis_JD).reshape(chunk.shape).astype(np.float16))
    return replace(table, chunks=tuple(chunks))
