"""Arrays in, arrays out: images and their labels to protected images; shards, audits and the Python interface use it.

Shapes: B images of a batch, H×W×C pixels as stored, R canonical resolution, K tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stages.io.images.pixel_layout import canonical_view, is_gray
from stages.io.images.spill import Pixels
from stages.learning.table import Batch, ImageTable
from stages.perturbers.perturber import Perturber, check_delta
from stages.protect.perturb import add_perturbation
from stages.tasks.task_kind import TaskKind

BATCH_IMAGES = 256
"""Images that go through a perturber together."""


def labels_at(kind: TaskKind, labels: Sequence[Any], side: int) -> np.ndarray:
    """Labels of one task as a table of images `side`×`side` holds them; first axis B."""
    cells = [kind.cell(kind.viewed(label, side)) for label in labels]
    return kind.stored(pa.array(cells, kind.column(side)))


def table_of(
    images: Sequence[Pixels], labels: Sequence[Sequence[Any]], kinds: Sequence[TaskKind], resolution: int
) -> ImageTable:
    """Images of any size as a table of canonical views.

    Args:
        images: each H×W×C uint8 or uint16.
        labels: of each of K tasks, one label an image (`TaskKind.label`).
        kinds: the K tasks.
        resolution: R.
    """
    return ImageTable(
        (np.stack([canonical_view(image, resolution) for image in images]),),
        tuple(labels_at(kind, of_task, resolution) for kind, of_task in zip(kinds, labels, strict=True)),
        np.array([is_gray(image) for image in images]),
    )


def delta_of(batch: Batch, perturber: Perturber, keys: Sequence[str]) -> torch.Tensor:
    """δ of a batch of canonical views, B×3×R×R on the CPU.

    Raises:
        GeneratorError: δ protects nothing.
    """
    return check_delta(perturber.delta(batch.x_BCHW, batch.labels, batch.gray_B, keys), keys)


def protected_images(images: Sequence[Pixels], table: ImageTable, perturber: Perturber) -> Iterator[Pixels]:
    """The protected twin of each image, in order: integer pixels within the bound (`perturb.py`).

    Args:
        images: each H×W×C uint8 or uint16; alpha stays as it is.
        table: the same images and their labels at the perturber's resolution (`table_of`).
        perturber: what gives δ.

    Raises:
        GeneratorError: δ protects nothing.
    """
    for start in range(0, len(table), BATCH_IMAGES):
        rows = np.arange(start, min(start + BATCH_IMAGES, len(table)))
        deltas = delta_of(table.batch(rows, torch.device("cpu")), perturber, [str(row) for row in rows])
        for row, delta_CRR in zip(rows.tolist(), deltas, strict=True):
            yield add_perturbation(images[row], delta_CRR, perturber.epsilon)
