"""Where image and labels are found in a published sample."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.plans import PublishPlan
from schemas.records import ShardProfile
from schemas.tasks import Task
from stages.io.shards.layout import published_field


def image_fields(plan: PublishPlan, profiles: Sequence[ShardProfile]) -> list[str]:
    """Member fields under which published images are found, each once."""
    if _from_parquet(profiles):
        return [plan.encoding]
    encoding = plan.encoding
    return list(dict.fromkeys(published_field(field, encoding) for field in plan.layout.image_fields))


def label_place(task: Task, profiles: Sequence[ShardProfile]) -> tuple[str, tuple[str, ...]]:
    """Member of a published sample that holds a task's label, and the keys to follow inside it (none: plain text)."""
    if _from_parquet(profiles) and task.member != "json":
        return "json", (task.member, *task.path)
    return task.member, task.path


def _from_parquet(profiles: Sequence[ShardProfile]) -> bool:
    return bool(profiles) and all(profile.name.endswith(".parquet") for profile in profiles)
