"""Orthogonal projection: the most predictive linear directions of the training images are taken out of every image.

Sandoval-Segura et al., NeurIPS 2023, "What can we learn from unlearnable datasets?", section 4.4: a linear classifier
is trained on the pixels of the protected images; shortcuts that are the same for a whole class are just what it finds.
Its weights W_k, one row a class, span a space; images are projected onto what is orthogonal to it: x − QQᵀx, Q an
orthonormal basis. Here each task has its rows, and all of them are taken out together. `of="means"` takes the
directions of the class means (`class_means.py`) instead: what is the same for a whole class lies in them entirely,
where a classifier's weights also follow the noise of the samples that it has seen.

Parameters: 20 passes from zero, Adam 1e-3, batches of 128. The images stay in half precision, neither rounded nor cut
to 0..255: that would bring back a part of what was taken out.

Shapes: N samples, R resolution, D = R·R·3 pixel values, J directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from stages.countermeasures.class_means import class_effects, label_columns
from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.learning.optimise import Optimisation
from stages.learning.table import ImageTable
from stages.tasks.task_kind import TaskKind

EPOCHS, BATCH = 20, 128


@dataclass(frozen=True)
class Projection(Countermeasure):
    """The victim sees only what a linear classifier of the training images does not look at."""

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
