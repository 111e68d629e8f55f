"""Surface normals: one direction per pixel.

Shapes: H×W pixels, R canonical side, B batch, N samples; of a normal 3 values, x to the right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from schemas.errors import SampleError
from schemas.tasks import NormalsTask
from schemas.tasks.normals import ANGLES
from stages.tasks.dense import DenseKind, place_of, read_values
from stages.transforms.movement import Movement

STEPS = 127
"""A component of 1, as it lies in a table: 8 bits hold a direction to 0.4°."""

TOLERANCE = 0.05
"""Furthest that a normal's length may be from 1; from 0 for a pixel without one."""


class Normals(DenseKind):
    """Labels are H×W×3 float32 of length 1; 0, 0, 0 where there is none."""

    task: NormalsTask
    cell_type, values = np.int8, 3
    outputs, planes, textures = 3, 3, 6

    def label(self, raw: Any) -> np.ndarray | None:
        """Unit vectors; None where no pixel has one."""
        found = read_values(raw, self.task, "normals, H×W×3 (npy or RGB PNG)")
        if found is None:
            return None
        if found.ndim != 3 or 3 not in (found.shape[0], found.shape[2]):
            raise self.task.unreadable(f"an array of shape {found.shape}", "normals, H×W×3 or 3×H×W")
        normals = found if found.shape[2] == 3 else found.transpose(1, 2, 0)
        normals = normals / 127.5 - 1 if normals.dtype == np.uint8 else normals
        normals = normals.astype(np.float32)
        length = np.linalg.norm(normals, axis=2)
        empty = length <= TOLERANCE
        wrong = ~empty & ~(np.abs(length - 1) <= TOLERANCE)
        if wrong.any():
            raise SampleError(
                "label-out-of-range",
                f"task {self.task.name!r}: field {self.task.field!r} holds a normal of length {length[wrong][0]:.3g} "
                f"{place_of(wrong)}; divide normals by their length, and write 0, 0, 0 where there is none",
            )
        if empty.all():
            return None
        return np.where(empty[..., None], 0, normals / np.maximum(length, TOLERANCE)[..., None]).astype(np.float32)

    def packed(self, label: np.ndarray) -> np.ndarray:
        """3×R×R, in steps of 1/`STEPS`."""
        return np.asarray(np.rint(label.transpose(2, 0, 1) * STEPS))

    def picture(self, label: np.ndarray) -> np.ndarray:
        """127.5·(n + 1) as red, green and blue, as usual; gray where there is none."""
        return np.asarray(np.rint(127.5 * (label + 1)), np.uint8)

    def known(self, labels: torch.Tensor) -> torch.Tensor:
        """Where any pixel has a normal."""
        return (labels != 0).flatten(1).any(dim=1)

    def examples(self, count: int, side: int) -> torch.Tensor:
        """Flat walls that face six ways in turn."""
        ways_63 = torch.cat([torch.eye(3), -torch.eye(3)]).to(torch.int8)
        chosen_B3 = ways_63[torch.arange(count) % len(ways_63)] * STEPS
        return chosen_B3[:, :, None, None].expand(count, 3, side, side).contiguous()

    def moved(self, labels: torch.Tensor, movement: Movement) -> torch.Tensor:
        """The places of the image; a mirrored normal's x changes its sign."""
        moved = super().moved(labels, movement)
        if movement.flip_B is None:
            return moved
        signs_B3 = torch.ones(len(moved), 3, dtype=moved.dtype)
        signs_B3[movement.flip_B, 0] = -1
        return moved * signs_B3.to(moved.device)[:, :, None, None]

    def planes_of(self, labels: torch.Tensor) -> torch.Tensor:
        """Unit vectors, B×3×R×R."""
        return functional.normalize(labels.float(), dim=1)

    def weights_of(self, labels: torch.Tensor) -> torch.Tensor:
        """A texture for each component's sign, shown by its size, B×6×R×R."""
        normals = self.planes_of(labels)
        return torch.cat([normals.clamp(min=0), (-normals).clamp(min=0)], dim=1)

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """1 - cos of the angle, mean over pixels of B×3×R×R."""
        known = (labels != 0).any(dim=1)
        if not bool(known.any()):
            return None
        cosine = (functional.normalize(output, dim=1) * self.planes_of(labels)).sum(dim=1)
        return 1 - cosine[known].mean()

    def indecision(self, output: torch.Tensor) -> torch.Tensor:
        """Squared length of what the head says."""
        return output.square().mean()

    def target(self, labels: torch.Tensor) -> torch.Tensor:
        """The opposite direction."""
        return -labels

    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """Unit vectors, B×3×R×R."""
        return functional.normalize(output, dim=1)

    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Mean and median angle in degrees over all pixels with a normal, and the shares within `ANGLES`."""
        true, found = (np.moveaxis(values, 1, -1) for values in (labels, predicted))
        known = (true != 0).any(axis=-1)
        angles = np.zeros(1) if not known.any() else angles_between(found[known], true[known])
        within = {f"within_{angle:g}": float((angles <= angle).mean()) if known.any() else 0.0 for angle in ANGLES}
        return {"mean_angle": float(angles.mean()), "median_angle": float(np.median(angles)), **within}

    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """What the mean normal in every pixel scores."""
        mean_3 = labels.astype(np.float64).sum(axis=(0, 2, 3))
        return self.scores(np.broadcast_to(mean_3[:, None, None], labels.shape), labels)


def angles_between(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Degrees between vectors of any length, last axis 3; 90 where one is 0."""
    found, true = found.astype(np.float64), true.astype(np.float64)
    lengths = np.linalg.norm(found, axis=-1) * np.linalg.norm(true, axis=-1)
    cosine = (found * true).sum(axis=-1) / np.maximum(lengths, 1e-12)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
