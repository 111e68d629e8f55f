"""Labels: how each task's value is found among the members of a sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from schemas.errors import SampleError
from schemas.tasks import Task
from stages.io.shards.sample import Member, Sample, text_of


def labels_of(sample: Sample, tasks: Sequence[Task]) -> list[int]:
    """The label of each task: a class index in 0..C-1, or `MISSING`.

    The longest member name that begins `task.field` is the member, the rest is the path into its JSON; a field that
    begins with no member's name is looked up in the member `json` (so a Parquet column is found by its own name).
    A missing member, a missing key, null and NaN are `MISSING`.

    Raises:
        SampleError: `label-out-of-range`; `label-unreadable` for broken JSON, doubled keys, a path into something
            that is no object, or a value that is no class.
    """
    parsed: dict[str, Any] = {}
    return [_label(sample, task, parsed) for task in tasks]


def _label(sample: Sample, task: Task, parsed: dict[str, Any]) -> int:
    members = {member.field: member for member in sample.members}
    parts = task.field.split(".")
    heads = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    name = next((head for head in heads if head in members), None)
    path = parts[name.count(".") + 1 :] if name is not None else parts
    name = name if name is not None else "json"
    try:
        if name in members and name not in parsed:
            parsed[name] = _parse(members[name])
        return task.label(_walk(parsed.get(name), path, task))
    except SampleError as error:
        raise error.at(key=sample.key) from None


def _walk(value: Any, path: Sequence[str], task: Task) -> Any:
    """Follow `path` into JSON; a key that has dots itself is preferred to a path of keys."""
    while path and value is not None:
        if not isinstance(value, dict):
            raise SampleError(
                "label-unreadable",
                f"task {task.name!r}: field {task.field!r} leads into {value!r}, which is no JSON object; "
                "correct the task's field",
            )
        length = next((size for size in range(len(path), 0, -1) if ".".join(path[:size]) in value), 0)
        if not length:
            return None
        value, path = value[".".join(path[:length])], path[length:]
    return value


def _is_json(field: str) -> bool:
    return field.rpartition(".")[2].lower() == "json"


def _parse(member: Member) -> Any:
    """The value of a JSON member, or the stripped text of any other."""
    text = text_of(member.data)
    if text is None:
        raise SampleError("label-unreadable", f"member {member.field!r} is no UTF-8 text; correct the task's field")
    if not _is_json(member.field):
        return text.strip()
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise SampleError("label-unreadable", f"member {member.field!r}: JSON nested too deeply") from None
    except ValueError as error:
        raise SampleError(
            "label-unreadable", f"member {member.field!r} is broken JSON ({error}); write it again"
        ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"the key {doubled[0]!r} stands twice in one object")
    return found


def known_fields(sample: Sample) -> list[str]:
    """Every field that a task could name, for messages: `json.shape`, `cls`; images and other binary are left out."""
    fields: list[str] = []
    for member in sample.members:
        try:
            value = _parse(member)
        except SampleError:
            if _is_json(member.field):
                fields.append(member.field)
            continue
        fields.extend(_paths(member.field, value))
    return fields


def _paths(prefix: str, value: Any) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [prefix]
    return [path for key, inner in value.items() for path in _paths(f"{prefix}.{key}", inner)]
