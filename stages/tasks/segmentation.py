"""Segmentation: one class index per pixel.

Shapes: H×W pixels, R canonical side, B batch, N samples, C classes.
"""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from schemas.tasks import SegmentationTask, Task
from stages.tasks.dense import DenseKind, place_of, read_values

IGNORED = 255
"""A pixel without a label, as labels are held and stored."""


def class_colours(count: int) -> np.ndarray:
    """256×3 uint8: colours of classes 0..count-1, neighbours unlike; black for all others."""
    hues = [index * 0.618 % 1 for index in range(count)]  # the golden section spreads them
    bright = [(0.55, 0.95) if index % 2 else (0.75, 0.7) for index in range(count)]
    colours = np.zeros((256, 3), np.uint8)
    colours[:count] = [
        [round(255 * part) for part in colorsys.hsv_to_rgb(hue, *rest)] for hue, rest in zip(hues, bright, strict=True)
    ]
    return colours


class Segmentation(DenseKind):
    """C classes; labels are H×W uint8, 0..C-1 or `IGNORED`."""

    task: SegmentationTask
    cell_type, unknown = np.uint8, IGNORED

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.outputs = self.planes = self.textures = self.task.class_count

    def label(self, raw: Any) -> np.ndarray | None:
        """Class indices; None where every pixel is ignored."""
        found = read_values(raw, self.task, "a mask, H×W class indices (PNG or npy)")
        if found is None:
            return None
        if found.ndim != 2:
            raise self.task.unreadable(f"an array of shape {found.shape}", "a mask, H×W class indices, no colours")
        ignored = found == self.task.ignore
        whole = np.isfinite(found) & (found == np.rint(found)) if found.dtype.kind == "f" else True
        wrong = ~ignored & ~(whole & (found >= 0) & (found < self.task.class_count))
        if wrong.any():
            raise self.task.out_of_range(
                f"{found[wrong][0]} {place_of(wrong)}",
                f"0..{self.task.class_count - 1}",
                f"correct the mask, raise `classes` (now {self.task.class_count}), or set `ignore` (now "
                f"{self.task.ignore}) to what stands for no class",
            )
        return None if ignored.all() else np.where(ignored, IGNORED, found).astype(np.uint8)

    def classes_in(self, label: np.ndarray) -> np.ndarray:
        """Pixels of each class."""
        return np.bincount(label[label != IGNORED], minlength=self.task.class_count)

    def picture(self, label: np.ndarray) -> np.ndarray:
        """A colour a class; black where there is none."""
        return np.asarray(class_colours(self.task.class_count)[label])

    def known(self, labels: torch.Tensor) -> torch.Tensor:
        """Where any pixel has a class."""
        return (labels != IGNORED).flatten(1).any(dim=1)

    def examples(self, count: int, side: int) -> torch.Tensor:
        """Masks of one class each."""
        classes_B = torch.arange(count) % self.task.class_count
        return classes_B.to(torch.uint8)[:, None, None].expand(count, side, side).contiguous()

    def planes_of(self, labels: torch.Tensor) -> torch.Tensor:
        """One-hot, B×C×R×R."""
        classes_C = torch.arange(self.task.class_count, device=labels.device)
        return (labels[:, None] == classes_C[:, None, None]).float()

    def weights_of(self, labels: torch.Tensor) -> torch.Tensor:
        """One texture a class."""
        return self.planes_of(labels)

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Cross-entropy of B×C×R×R logits, mean over pixels."""
        if not bool((labels != IGNORED).any()):
            return None
        return functional.cross_entropy(output, labels.long(), ignore_index=IGNORED)

    def indecision(self, output: torch.Tensor) -> torch.Tensor:
        """Cross-entropy with equal shares."""
        return -functional.log_softmax(output, dim=1).mean()

    def target(self, labels: torch.Tensor) -> torch.Tensor:
        """y' = (y + ⌊C/2⌋) mod C in each pixel.

        Example:
            >>> kind = Segmentation(SegmentationTask(kind="segmentation", field="mask.png", classes=5))
            >>> kind.target(torch.tensor([[[0, 4, 255]]], dtype=torch.uint8)).tolist()
            [[[2, 1, 255]]]
        """
        count = self.task.class_count
        shifted = (labels.long() + count // 2) % count
        return torch.where(labels == IGNORED, labels, shifted.to(labels.dtype))

    def predicted(self, output: torch.Tensor) -> torch.Tensor:
        """The most likely class of each pixel, B×R×R uint8."""
        return output.argmax(dim=1).to(torch.uint8)

    def scores(self, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Mean IoU and accuracy over all pixels with a class; classes that nobody names are left out of the mean."""
        known, count = labels != IGNORED, self.task.class_count
        if not known.any():
            return {"mean_iou": 0.0, "pixel_accuracy": 0.0}
        found, true = (torch.from_numpy(values[known].astype(np.int64)) for values in (predicted, labels))
        pairs_CC = torch.bincount(true * count + found, minlength=count**2).reshape(count, count).float()
        hits_C = pairs_CC.diag()
        union_C = pairs_CC.sum(0) + pairs_CC.sum(1) - hits_C
        named_C = (union_C > 0).float()
        shares_C = hits_C / union_C.clamp(min=1)
        return {
            "mean_iou": float((shares_C * named_C / named_C.sum()).sum()),
            "pixel_accuracy": float((found == true).sum() / len(true)),
        }

    def chance(self, labels: np.ndarray) -> dict[str, float]:
        """What a mask of the most frequent class scores."""
        counts = np.bincount(labels[labels != IGNORED].reshape(-1), minlength=1)
        return self.scores(np.full_like(labels, counts.argmax()), labels)
