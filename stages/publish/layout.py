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
    if task.member != "json" and (_from_parquet(profiles) or _only_in_json(task, profiles)):
        return "json", (task.member, *task.path)
    return task.member, task.path


def _only_in_json(task: Task, profiles: Sequence[ShardProfile]) -> bool:
    """Whether a field that names no member was found as a key of the member `json`."""
    seen = {field for profile in profiles for field in profile.fields}
    inside = f"json.{task.field}"
    return task.field not in seen and any(field == inside or field.startswith(f"{inside}.") for field in seen)


def _from_parquet(profiles: Sequence[ShardProfile]) -> bool:
    return bool(profiles) and all(profile.name.endswith(".parquet") for profile in profiles)
