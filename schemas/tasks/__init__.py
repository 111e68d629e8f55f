"""What a task is: one file a kind, behind the base of `task.py`; `AnyTask` is the union; `kind` decides which."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator

from schemas.errors import ConfigError
from schemas.plugins import TASKS, installed, loaded
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
    "offered_tasks",
]


def _classification_by_default(data: Any) -> Any:
    return {"kind": "classification", **data} if isinstance(data, dict) else data


_OWN = ClassificationTask | BinaryTask | MultilabelTask | RegressionTask | SegmentationTask | DepthTask | NormalsTask

OWN_KINDS = frozenset(get_args(task.model_fields["kind"].annotation)[0] for task in get_args(_OWN))


def _of_another_package(data: Any, own: ValidatorFunctionWrapHandler) -> Any:
    """A task whose kind another package offers: an entry point in `mtlue.tasks`, a class that derives from `Task`."""
    kind = data.kind if isinstance(data, Task) else data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind in OWN_KINDS or kind not in installed(TASKS):
        return own(data)
    if isinstance(data, Task):
        return data
    return _offered(kind).model_validate(data)


def _offered(kind: str) -> type[Task]:
    """The class of a kind that another package offers."""
    found = loaded(TASKS, kind)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ConfigError(f"entry point {kind!r} of {TASKS} is {found!r}; it must be a class that derives from Task")
    return found


def offered_tasks() -> list[type[Task]]:
    """The classes of all kinds that installed packages offer, by the names of the kinds."""
    return [_offered(kind) for kind in installed(TASKS)]


AnyTask = Annotated[
    SerializeAsAny[Annotated[_OWN, Field(discriminator="kind")]],
    WrapValidator(_of_another_package),
    BeforeValidator(_classification_by_default),
]
"""A task of any kind, for the fields of configuration and plans."""
