"""Every kind of task by its name in the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.tasks import Task
from stages.tasks.base import TaskKind
from stages.tasks.classification import Classification

KINDS: dict[str, type[TaskKind]] = {"classification": Classification}


def kinds_of(tasks: Sequence[Task]) -> list[TaskKind]:
    """Each task with what its kind can do, in order."""
    return [KINDS[task.kind](task) for task in tasks]
