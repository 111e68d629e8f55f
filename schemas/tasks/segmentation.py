"""Segmentation: one class index per pixel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.metrics import Metric
from schemas.tasks.classification import Classes, check_names
from schemas.tasks.task import Task

MEAN_IOU = Metric(name="mean_iou", title="mean IoU")
"""Intersection over union of each class over all pixels, mean over the classes that occur."""

PIXEL_ACCURACY = Metric(name="pixel_accuracy")
"""Share of right pixels."""


class SegmentationTask(Classes, Task):
    """A mask as large as the image: a PNG (8 or 16 bits, palette) or an npy array, H×W."""

    kind: Literal["segmentation"]
    """Kind of label: one class index per pixel."""

    classes: Annotated[int, Field(ge=2, le=254)] | list[str]
    """Number of classes C (a pixel holds 0..C-1), or the names of the classes, in order; 254 at most."""

    ignore: int = 255
    """What a pixel without a label holds; such a pixel has no part in losses and metrics."""

    @model_validator(mode="after")
    def _check_class_names(self) -> SegmentationTask:
        if isinstance(self.classes, list):
            if not 2 <= len(self.classes) <= 254:
                raise ValueError(f"a segmentation task needs 2 to 254 classes; found {len(self.classes)} names")
            check_names(self.classes)
        return self

    @property
    def per_pixel(self) -> bool:
        """True."""
        return True

    @property
    def category(self) -> str:
        """The Hub's word for it."""
        return "image-segmentation"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Mean IoU, and the share of right pixels."""
        return MEAN_IOU, PIXEL_ACCURACY

    def doubt(self, seen: str) -> str:
        """Of two classes only the first occurs: the second is likely to be written as 255, which is ignored."""
        if self.class_count != 2 or seen != self.class_names[0] or self.ignore != 255:
            return ""
        return (
            "; if 255 marks the second class in these masks, write 1 there: `ignore` is 255, so such pixels count as "
            "no class"
        )

    @property
    def description(self) -> str:
        """The classes in order, and what is ignored."""
        return f"a class per pixel; {self.in_order}; {self.ignore} is no class"
