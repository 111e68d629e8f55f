"""What is wrong with a configuration, in the words of the file that the user wrote."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.config import Config

KeyPath = tuple[str | int, ...]
"""Keys and list indices from the top of the configuration down to one value."""


def explain(error: ValidationError, data: Any, source_of: Callable[[KeyPath], str]) -> Iterator[str]:
    """Tell each wrong place once, where pydantic reports every branch of a union by itself.

    Args:
        error: what pydantic found.
        data: the mapping that was validated.
        source_of: where the value of a place was written: the file's name, or `--set`.

    Returns:
        Lines `source: a.b.c: message; found VALUE`.
    """
    problems: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        problems.setdefault(_place(detail["loc"], data), []).append(detail)
    for place, details in problems.items():
        deeper = any(len(other) > len(place) and other[: len(place)] == place for other in problems)
        if not deeper:
            yield f"{source_of(place)}: {_problem(place, details)}"


def _place(location: KeyPath, data: Any) -> KeyPath:
    """Pydantic's location without the names of union branches, which are no keys of the file."""
    place: KeyPath = ()
    for part in location:
        is_index = isinstance(data, list) and isinstance(part, int)
        if is_index or (isinstance(data, dict) and (part in data or part in _known_keys(place))):
            data = data[part] if is_index else data.get(part)
            place = (*place, part)
    return place


def _problem(place: KeyPath, details: list[ErrorDetails]) -> str:
    kind, value = details[0]["type"], details[0]["input"]
    if kind == "union_tag_invalid":
        found = details[0]["ctx"]
        return f"{dotted((*place, 'kind'))}: should be {found['expected_tags']}; found {found['tag']!r}"
    if kind == "extra_forbidden":
        return _unknown_key(place)
    where = f"{dotted(place)}: " if place else ""
    if kind == "missing":
        return f"{where}required, and missing"
    if kind == "value_error":  # raised by our own models, whose text names the value
        return where + "; ".join(str(detail["ctx"]["error"]) for detail in details)
    if kind == "model_type":
        hint = "; give it keys, or leave it out for its defaults" if value is None else ""
        return f"{where}should be a mapping; found {show(value)}{hint}"
    messages = dict.fromkeys(detail["msg"].removeprefix("Input should be ") for detail in details)
    expected = (
        f"should be {' or '.join(messages)}" if "Input should be " in details[0]["msg"] else " or ".join(messages)
    )
    scalar = not isinstance(value, str | dict | list | None)
    hint = "; text goes in quotes" if scalar and any(detail["type"] == "string_type" for detail in details) else ""
    return f"{where}{expected}; found {show(value)}{hint}"


def _unknown_key(place: KeyPath) -> str:
    section, key = place[:-1], str(place[-1])
    known = _known_keys(section)
    found = f"unknown key {key!r} {f'in {dotted(section)}' if section else 'at the top level'}"
    if key in known:
        return f"{found}: it belongs to another `kind`; remove it, or correct `kind`"
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
    likeness = difflib.SequenceMatcher(None, nearest, key).ratio()
    elsewhere = [dotted(other) for other in _all_places(Config) if other[-1] == key]
    if elsewhere and likeness < 0.9:  # a letter wrong in this section is likelier than another section
        return f"{found}; did you mean {' or '.join(elsewhere)}?"
    if likeness >= 0.6:
        return f"{found}; did you mean {nearest!r}?"
    return f"{found}; the nearest is {nearest!r}; known keys: {', '.join(known)}"


def _known_keys(place: KeyPath) -> list[str]:
    models: list[type[BaseModel]] = [Config]
    for part in place:
        if isinstance(part, str):
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return list(dict.fromkeys(name for model in models for name in model.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if arguments := get_args(annotation):
        return [model for argument in arguments for model in _models_in(argument)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _all_places(model: type[BaseModel], above: KeyPath = ()) -> Iterator[KeyPath]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        for inner in _models_in(field.annotation):
            index = () if inner is field.annotation or type(None) in get_args(field.annotation) else (0,)
            yield from _all_places(inner, (*above, name, *index))


def dotted(place: KeyPath) -> str:
    """Write a place as `--set` takes it: `tasks.0.classes`."""
    return ".".join(str(part) for part in place)


def show(value: Any) -> str:
    """Write a value that was found; never the inside of a mapping, and 80 characters at most."""
    if isinstance(value, dict):
        return "a mapping"
    if value is None:
        return "nothing (null)"
    text = repr(value) if isinstance(value, str | list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
