"""Every kind of task by its name in the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from schemas.plugins import TASKS, Registry
from schemas.tasks import Task
from stages.tasks.binary import Binary
from stages.tasks.classification import Classification
from stages.tasks.depth import Depth
from stages.tasks.normals import Normals
from stages.tasks.regression import Regression
from stages.tasks.segmentation import Segmentation
from stages.tasks.task_kind import TaskKind


def _made(found: Any) -> type[TaskKind]:
    """What an entry point leads to: the model of a task, which names its implementation."""
    module, _, name = getattr(found, "implementation", "").partition(":")
    kind = getattr(import_module(module), name, None) if module else None
    if not (isinstance(kind, type) and issubclass(kind, TaskKind)):
        raise TypeError("its `implementation` must be `module:class` of a stages.tasks.task_kind.TaskKind")
    return kind


_ROWS: dict[str, type[TaskKind]] = {
    "binary": Binary,
    "classification": Classification,
    "depth": Depth,
    "normals": Normals,
    "regression": Regression,
    "segmentation": Segmentation,
}

KINDS = Registry(TASKS, _ROWS, _made)
"""Those that a plan may hold: a `multilabel` set has become binary tasks there."""


def kinds_of(tasks: Sequence[Task]) -> list[TaskKind]:
    """Each task with what its kind can do, in order."""
    return [KINDS[task.kind](task) for task in tasks]


def column_values(kinds: Sequence[TaskKind], labels: Sequence[Any]) -> list[int | float | None]:
    """One sample's labels for the columns of a published table: of the tasks with a `feature`; None: it has none."""
    pairs = zip(kinds, labels, strict=True)
    return [None if kind.is_missing(label) else label for kind, label in pairs if kind.task.feature]


def fitted_tasks(tasks: Sequence[Task], labels: Sequence[np.ndarray]) -> list[Task]:
    """Each task with what its kind must know of the labels that are learned from (of each task, first axis N)."""
    return [kind.fitted(found) for kind, found in zip(kinds_of(tasks), labels, strict=True)]
