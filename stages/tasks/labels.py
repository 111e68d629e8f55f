"""Labels: how each task's value is found among the members of a sample, and parsed by the member's form."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from tokenize import TokenError
from typing import Any

import numpy as np

from schemas.errors import SampleError
from schemas.tasks import Task
from stages.io.shards.sample import Member, Sample, text_of
from stages.tasks.task_kind import TaskKind

PNG = b"\x89PNG"
NPY = b"\x93NUMPY"
"""How an npy file begins (NEP 1)."""

_MALFORMED_ARRAY = (ValueError, TypeError, KeyError, SyntaxError, TokenError, EOFError, OSError, MemoryError)
"""What numpy raises at a damaged file, whose header is a Python literal."""


def labels_of(sample: Sample, kinds: Sequence[TaskKind]) -> list[Any]:
    """The label of each task, as its kind has it (`TaskKind.label`), or `TaskKind.missing`.

    The longest member name that begins `task.field` is the member; the rest is the path into its JSON. A field that
    begins with no member's name is looked up in the member `json`: so a Parquet column is found by its own name. A
    missing member, a missing key, null and NaN are missing labels.

    Raises:
        SampleError: `label-unreadable` for broken JSON, doubled keys, a damaged npy or a path into something that is no
            object. Also the kind's own errors about a value that is no label of its task.
    """
    parsed: dict[str, Any] = {}
    return [_label(sample, kind, parsed) for kind in kinds]


def plain(raw: Any) -> Any:
    """An array of at most one axis as JSON would hold it: a number or a list; everything else as it is."""
    return raw.tolist() if isinstance(raw, np.ndarray) and raw.ndim <= 1 else raw


def _label(sample: Sample, kind: TaskKind, parsed: dict[str, Any]) -> Any:
    # webdataset lowers the case of fields: whoever reads the published `a.CLS` finds it as `cls`.
    members = {member.field.lower(): member for member in sample.members}
    members |= {member.field: member for member in sample.members}
    parts = kind.task.field.split(".")
    heads = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    name = next((head for head in heads if head in members), None)
    path = parts[name.count(".") + 1 :] if name is not None else parts
    name = name if name is not None else "json"
    try:
        if name in members and name not in parsed:
            parsed[name] = _parse(members[name])
        return kind.label(_walk(parsed.get(name), path, kind.task))
    except SampleError as error:
        raise error.at(key=sample.key) from None


def _walk(value: Any, path: Sequence[str], task: Task) -> Any:
    """Follow `path` into JSON; a key that has dots itself is preferred to a path of keys."""
    while path and value is not None:
        if not isinstance(value, dict):
            raise SampleError(
                "label-unreadable",
                f"task {task.name!r}: field {task.field!r} leads into {repr(value)[:80]}, which is no JSON object; "
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
    """The value of a JSON member, the array of an npy, the stripped text of a text, the bytes of anything else."""
    if member.data.startswith(NPY):
        return _array(member)
    text = text_of(member.data)
    if not _is_json(member.field):
        return member.data if text is None else text.strip()
    if text is None:
        raise SampleError("label-unreadable", f"member {member.field!r} is no UTF-8 text; correct the task's field")
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise SampleError("label-unreadable", f"member {member.field!r}: JSON nested too deeply") from None
    except ValueError as error:
        raise SampleError(
            "label-unreadable", f"member {member.field!r} is broken JSON ({error}); write it again"
        ) from None


def _array(member: Member) -> Any:
    try:
        return np.load(io.BytesIO(member.data), allow_pickle=False)
    except _MALFORMED_ARRAY as error:
        raise SampleError(
            "label-unreadable", f"member {member.field!r} is no readable npy file ({error}); write it again"
        ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"the key {doubled[0]!r} stands twice in one object")
    return found


def known_fields(sample: Sample) -> list[str]:
    """Every field that a task could name, for messages: `json.shape`, `cls`; of binary ones only npy and `mask.png`."""
    fields: list[str] = []
    for member in sample.members:
        try:
            value = _parse(member)
        except SampleError:
            if _is_json(member.field):
                fields.append(member.field)
            continue
        if isinstance(value, bytes):
            if value.startswith(PNG) and "." in member.field:
                fields.append(member.field)
            continue
        fields.extend(_paths(member.field, value))
    return fields


def _paths(prefix: str, value: Any) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [prefix]
    return [path for key, inner in value.items() for path in _paths(f"{prefix}.{key}", inner)]
