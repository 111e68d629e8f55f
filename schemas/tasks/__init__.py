"""What a task is: one file a kind, behind the base of `task.py`; `AnyTask` is the union, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from schemas.tasks.binary import BinaryTask
from schemas.tasks.classification import ClassificationTask
from schemas.tasks.depth import DepthTask
from schemas.tasks.multilabel import MultilabelTask
from schemas.tasks.normals import NormalsTask
from schemas.tasks.regression import RegressionTask
from schemas.tasks.segmentation import SegmentationTask
from schemas.tasks.task import MISSING, MISSING_WORDS, Task

__all__ = [
    "MISSING",
    "MISSING_WORDS",
    "AnyTask",
    "BinaryTask",
    "ClassificationTask",
    "DepthTask",
    "MultilabelTask",
    "NormalsTask",
    "RegressionTask",
    "SegmentationTask",
    "Task",
]


def _classification_by_default(data: Any) -> Any:
    return {"kind": "classification", **data} if isinstance(data, dict) else data


AnyTask = Annotated[
    Annotated[
        ClassificationTask | BinaryTask | MultilabelTask | RegressionTask | SegmentationTask | DepthTask | NormalsTask,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_classification_by_default),
]
"""A task of any kind, for the fields of configuration and plans."""
