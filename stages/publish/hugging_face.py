"""How `datasets` reads what was published: which columns there are, and the features that the card declares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from schemas.plans import PublishPlan
from schemas.records import ShardProfile
from schemas.tasks import Task
from stages.io.shards.layout import from_parquet, image_fields, label_place
from stages.io.shards.parquet_columns import IMAGE


def image_columns(plan: PublishPlan, profiles: Sequence[ShardProfile]) -> list[str]:
    """Columns of a published table that may have the image."""
    return list(plan.layout.image_fields) if from_parquet(profiles) else [IMAGE]


def label_code(members: Sequence[Task], profiles: Sequence[ShardProfile]) -> str:
    """Python that reads the label of one task or set from a row of a published table."""
    if from_parquet(profiles):
        return _row(members[0].field.removeprefix("json.").split("."))
    if not members[0].feature:
        return _row([members[0].member])
    columns = [_row([task.name]) for task in members]
    return columns[0] if len(columns) == 1 else f"[{', '.join(columns)}]"


def _row(keys: Sequence[str]) -> str:
    return "row" + "".join(f"[{json.dumps(key, ensure_ascii=False)}]" for key in keys)


def declared_features(plan: PublishPlan, profiles: Sequence[ShardProfile]) -> list[dict[str, Any]]:
    """Features of tar shards for the card's header, so that `datasets` gives labels as classes.

    `datasets` passes over what the features do not name. So there are none where the samples have more than the image
    and labels of one value each. A table has its features in itself.
    """
    images = image_fields(plan, profiles)
    if plan.output_format != "tar" or len(images) != 1 or not profiles:
        return []
    nested: dict[str, Any] = {}
    known = set[str]()
    for task in plan.tasks:
        member, path = label_place(task, profiles)
        if not task.feature or task.group != task.name or len(path) > 1:
            return []
        known.add(".".join((member, *path)))
        if path:
            nested.setdefault(member, {})[path[0]] = _header_type(task)
        else:
            nested[member] = _header_type(task)
    seen = {field for profile in profiles for field in profile.fields}
    if from_parquet(profiles):
        seen = {field if field.startswith("json.") else f"json.{field}" for field in seen}
    if seen - known:
        return []
    features: list[dict[str, Any]] = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
    features.append({"name": images[0], "dtype": "image"})
    for name, kind in nested.items():
        inner = [{"name": key, "dtype": each} for key, each in kind.items()] if _is_struct(kind) else None
        features.append({"name": name, "dtype": kind} if inner is None else {"name": name, "struct": inner})
    return features


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, dict) and "class_label" not in kind


def _header_type(task: Task) -> Any:
    """A feature as the card's header spells it."""
    if task.feature["_type"] != "ClassLabel":
        return task.feature["dtype"]
    return {"class_label": {"names": {str(index): name for index, name in enumerate(task.feature["names"])}}}
