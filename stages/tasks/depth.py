"""Depth: one distance per pixel.

Shapes: H×W pixels, R canonical side, B batch, N samples, T textures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from schemas.tasks import DepthTask
from stages.tasks.dense import DenseKind, place_of, read_values
from stages.transforms.movement import Movement

TEXTURES = 8
"""Textures of class codes, at depths from `low` to `high`, evenly; between them a pixel mixes two."""


VALUES_COUNTED = 24
"""Pixels along a side of which the histogram of depths is made."""


class Depth(DenseKind):
    """Labels are H×W float32 in the task's unit, inside its range; 0 where there is none."""

    task: DepthTask
    cell_type = np.float16
    outputs, planes, textures = 1, 2, TEXTURES

    def label(self, raw: Any) -> np.ndarray | None:
        """Depths; what lies outside the range becomes 0. None where no pixel has a depth."""
        found = read_values(raw, self.task, "depths, H×W (16-bit PNG or npy)")
        if found is None:
            return None
        if found.ndim != 2:
            raise self.task.unreadable(f"an array of shape {found.shape}", "depths, H×W")
        depth = found.astype(np.float32) * np.float32(self.task.scale)
        wrong = ~(np.isfinite(depth) & (depth >= 0))
        if wrong.any():
            hint = "write 0 where there is no depth"
            raise self.task.out_of_range(f"{found[wrong][0]} {place_of(wrong)}", f"0..{self.task.high:g}", hint)
        inside = (depth > 0) & (depth >= self.task.low) & (depth <= self.task.high)
        if not inside.any():
            self._refuse_another_scale(depth)
            return None
        return np.where(inside, depth, np.float32(0))

    def _refuse_another_scale(self, depth: np.ndarray) -> None:
        """All depths outside the range: with metres and millimetres mixed up a task would have no labels at all."""
        if (depth > 0).any():
            raise self.task.out_of_range(
                f"depths from {depth[depth > 0].min():g} {self.task.unit} on, all of them",
                f"{self.task.low:g}..{self.task.high:g}",
                f"set `scale` (now {self.task.scale:g}; 0.001 for millimetres), `low` or `high`",
            )

    def values_in(self, label: np.ndarray) -> np.ndarray:
        """The depths of pixels on a grid."""
        steps = [max(1, size // VALUES_COUNTED) for size in label.shape]
        some = label[:: steps[0], :: steps[1]]
        return np.asarray(some[some > 0], np.float64)

    def picture(self, label: np.ndarray) -> np.ndarray:
        """The nearer the brighter; black where there is none."""
        share = (label - self.task.low) / (self.task.high - self.task.low)
        gray = np.where(label > 0, np.rint(255 - 215 * share), 0).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)

    def known(self, labels: torch.Tensor) -> torch.Tensor:
        """Where any pixel has a depth."""
        return (labels > 0).flatten(1).any(dim=1)

    def examples(self, count: int, side: int) -> torch.Tensor:
        """Planes at depths over the whole range."""
        shares_B = (torch.arange(count) + 1) / count
        depths_B = self.task.low + shares_B * (self.task.high - self.task.low)
        return depths_B[:, None, None].expand(count, side, side).to(torch.float16).contiguous()

    def moved(self, labels: torch.Tensor, movement: Movement) -> torch.Tensor:
        """The places of the image; what fills more of the image is nearer by as much (Eigen et al., 2014, §3.4)."""
        moved = super().moved(labels, movement)
        if movement.zoom_B is None:
            return moved
        nearer: torch.Tensor = moved * movement.zoom_B[:, None, None].to(moved)
        return nearer

    def planes_of(self, labels: torch.Tensor) -> torch.Tensor:
        """Depth as a share of the range, and where there is one, B×2×R×R."""
        known = labels > 0
        return torch.stack([torch.where(known, self._shares(labels), 0), known.float()], dim=1)

    def weights_of(self, labels: torch.Tensor) -> torch.Tensor:
        """By linear interpolation between two textures, B×T×R×R."""
        steps_T = torch.arange(TEXTURES, device=labels.device)
        place = self._shares(labels)[:, None] * (TEXTURES - 1)
        weights = (1 - (place - steps_T[:, None, None]).abs()).clamp(min=0)
        return weights * (labels > 0)[:, None]

    def _shares(self, labels: torch.Tensor) -> torch.Tensor:
        return (labels.float() - self.task.low) / (self.task.high - self.task.low)

    @property
    def _unit(self) -> float:
        """What one step of the head's output is: a quarter of the range, so that losses are of the order of 1."""
        return (self.task.high - self.task.low) / 4

    def _depths(self, output: torch.Tensor) -> torch.Tensor:
        return (self.task.low + self.task.high) / 2 + self._unit * output[:, 0]

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """L1 of B×1×R×R in quarters of the range, mean over pixels."""
        known = labels > 0
        if not bool(known.any()):
            return None
        return (self._depths(output) - labels.float())[known].abs().mean() / self._unit

    def indecision(self, output: torch.Tensor) -> torch.Tensor:
        """Squared distance from the middle of the range."""
        return output.square().mean()

    def target(self, labels: torch.Tensor) -> torch.Tensor:
        """Mirrored inside the range: low + high - y.

        Example:
            >>> kind = Depth(DepthTask(kind="depth", field="depth.png", low=1, high=5))
            >>> kind.target(torch.tensor([[[1.0, 4.0, 0.0]]])).tolist()
            [[[5.0, 2.0, 0.0]]]
        """
        # Not to 0, which would be no label: with low = 0 the farthest pixel would lose its target.
        mirrored = (self.task.low + self.task.high - labels.float()).clamp(min=1e-3 * self.task.high)
        return torch.where(labels > 0, mirrored, 0).to(labels.dtype)

    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """Depths inside the range, B×R×R."""
        return self._depths(output).clamp(self.task.low, self.task.high)

    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Mean absolute and relative error over all pixels with a depth."""
        known = labels > 0
        if not known.any():
            return {"absolute_error": 0.0, "relative_error": 0.0}
        true = labels[known].astype(np.float64)
        errors = np.abs(predicted[known] - true)
        return {"absolute_error": float(errors.mean()), "relative_error": float((errors / true).mean())}

    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """The best that one depth for all pixels does: the median, weighted by 1/y for the relative error."""
        depths = np.sort(labels[labels > 0].astype(np.float64))
        if not len(depths):
            return {"absolute_error": 0.0, "relative_error": 0.0}
        shares = np.cumsum(1 / depths)
        middle, relative = depths[len(depths) // 2], depths[int(np.searchsorted(shares, shares[-1] / 2))]
        return {
            "absolute_error": self.scores(np.full(labels.shape, middle), labels)["absolute_error"],
            "relative_error": self.scores(np.full(labels.shape, relative), labels)["relative_error"],
        }
