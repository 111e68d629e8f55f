"""What `dataset.members` says of a member and of single keys in its JSON, and the JSON without the dropped ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.dataset import Layout
from schemas.errors import SampleError
from schemas.tasks import Task
from stages.io.shards.sample import Member, Sample, text_of

EVERYTHING = "*"
"""Stands for all that a member holds: `txt.*: keep` publishes it without a look into it."""


class Number(NamedTuple):
    """A number of JSON as it is written, so that it is written again with the same digits."""

    text: str


class Pairs(list[tuple[str, Any]]):
    """The keys and values of a JSON object in their order, doubled keys as well."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pairs) and list.__eq__(self, other)


def passed_over(sample: Sample, member: Member, layout: Layout, tasks: Sequence[Task]) -> frozenset[str]:
    """The dotted keys of a member that somebody has declared, or that a task reads; `*` where that is all of it.

    A name without its member's is looked up in the member `json`, as a task's field is: a Parquet column is its key.
    """
    kept = {name for name, what in layout.members.items() if what == "keep"}
    labels = {task.field for task in tasks}
    whole = {EVERYTHING} if member.field in labels else set()
    inner = {name.removeprefix(f"{member.field}.") for name in kept | labels if name.startswith(f"{member.field}.")}
    return frozenset(whole | inner | (kept | labels if member.field == "json" else set())) | dropped_keys(
        sample, member, layout
    )


def dropped_keys(sample: Sample, member: Member, layout: Layout) -> frozenset[str]:
    """The dotted keys of a member's JSON that are not published."""
    dropped = {name for name, what in layout.members.items() if what == "drop"}
    inner = {name.removeprefix(f"{member.field}.") for name in dropped if name.startswith(f"{member.field}.")}
    from_table = sample.image is not None and member.field == "json"
    return frozenset(inner | (dropped if from_table else set()))


def published_data(sample: Sample, member: Member, layout: Layout) -> bytes:
    """A member's bytes as they are published: untouched, or JSON without the keys that are dropped.

    All other keys keep their order and values; numbers keep their digits. A key inside a list of objects is dropped
    from each of them.

    Raises:
        SampleError: `unreadable-json`: keys are to be dropped from what is no JSON.
    """
    names = dropped_keys(sample, member, layout)
    if not names:
        return member.data
    value = exact_json(member)
    return _written(without(value, names)).encode() if _has(value, names) else member.data


def exact_json(member: Member) -> Any:
    """A member's JSON: objects as `Pairs`, numbers as they are written.

    Raises:
        SampleError: `unreadable-json`.
    """
    text = text_of(member.data)
    try:
        return json.loads(
            text or "", object_pairs_hook=Pairs, parse_float=Number, parse_int=Number, parse_constant=Number
        )
    except (ValueError, RecursionError) as error:
        raise SampleError(
            "unreadable-json",
            f"member {member.field!r} is no JSON ({error}), so no key can be dropped from it; write it again, or "
            "declare the whole member `drop` under dataset.members",
        ) from None


def without(value: Any, names: frozenset[str], key: str = "") -> Any:
    """A JSON value without the dotted keys."""
    if isinstance(value, Pairs):
        return Pairs(
            (name, without(inner, names, _below(key, name))) for name, inner in value if _below(key, name) not in names
        )
    return [without(inner, names, key) for inner in value] if type(value) is list else value


def _has(value: Any, names: frozenset[str], key: str = "") -> bool:
    if isinstance(value, Pairs):
        return any(_below(key, name) in names or _has(inner, names, _below(key, name)) for name, inner in value)
    return type(value) is list and any(_has(inner, names, key) for inner in value)


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _written(value: Any) -> str:
    if isinstance(value, Number):
        return value.text
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(name)}:{_written(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)
