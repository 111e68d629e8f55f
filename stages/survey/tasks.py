"""From the values of a field to the task that fits them, with what is doubtful about it."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.tasks import AnyTask
from schemas.tasks.binary import WORDS
from schemas.tasks.task import MISSING_WORDS, is_number
from stages.survey.values import Values

FEW_CLASSES = 30
"""Whole numbers of up to so many different values are taken for classes, whatever the field is called."""

MOST_CLASSES = 1000
"""Different texts that are taken for classes at most."""

CLASS_WORDS = frozenset({"label", "labels", "class", "classes", "cls", "category", "target"})
"""Words in a field's name that speak for classes."""

NAMING_WORDS = frozenset(
    {
        "id",
        "ids",
        "key",
        "index",
        "idx",
        "patient",
        "subject",
        "file",
        "filename",
        "path",
        "name",
        "uuid",
        "width",
        "height",
    }
)
"""Words in a field's name that speak for an identifier, or for the picture's size."""

SEPARATORS = ("|", ";", ",")
"""Between the names of a text with several."""

_KNOWN: TypeAdapter[Any] = TypeAdapter(AnyTask)


@dataclass(frozen=True)
class Suggestion:
    """A task for a field, or why there is none."""

    field: str
    task: dict[str, Any] | None = None
    """Keys of the task as a configuration has them; None: the field is no label."""
    seen: str = ""
    """What was seen, in a few words."""
    doubts: list[str] = dataclasses.field(default_factory=list)
    """What a person should check."""


def suggestion(values: Values, names: list[str] | None = None, *, whole: bool = False) -> Suggestion:
    """The task that fits a field.

    Args:
        values: what the field holds.
        names: names of its classes, where the dataset says them itself.
        whole: whether every sample was seen, so that no class is missing.
    """
    made = _suggested(values, names, whole)
    if made.task is None:
        return made
    if values.missing:
        lost = (
            f"{values.missing} of {values.count + values.missing} samples have no label (empty, NaN, none and the like)"
        )
        made = dataclasses.replace(made, doubts=[*made.doubts, lost])
    try:
        _KNOWN.validate_python(made.task)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        return Suggestion(values.name, None, made.seen, [f"no task can be made of it: {problem}"])
    return made


def _suggested(values: Values, names: list[str] | None, whole: bool) -> Suggestion:
    def none(seen: str) -> Suggestion:
        return Suggestion(values.name, None, seen)

    if values.count == 0:
        return none("no value at all")
    if values.others:
        return none("values that no task reads")
    if values.lists:
        return _of_lists(values, whole) if values.lists == values.count else none("lists and single values mixed")
    if names is not None:
        return _classes(values, names, f"{len(names)} classes, named by the dataset")
    if len(values.distinct) == 1 and not values.too_many:
        return none(f"only one value: {next(iter(values.distinct))!r}")
    if binary := _binary(values):
        return binary
    if _words(values.name) & NAMING_WORDS and not _words(values.name) & CLASS_WORDS:
        return none(f"{len(values.distinct)} different values: an identifier or the picture's size, by its name")
    if values.numbers == values.count:
        return _of_numbers(values, whole)
    return _of_texts(values, whole)


def _binary(values: Values) -> Suggestion | None:
    words = {text.lower() for text in values.distinct}
    yes_or_no = words <= {*WORDS, "-1"} and len(words) <= 3
    if values.too_many or not yes_or_no or {WORDS.get(word, 0) for word in words} != {0, 1}:
        return None
    task, doubts = {"kind": "binary", "field": values.name}, list[str]()
    if "-1" in words:
        doubts.append("-1 means no; where it means that nobody knows, add `minus_one: missing`")
    return Suggestion(values.name, task, _shown(values), doubts)


def _of_numbers(values: Values, whole: bool) -> Suggestion:
    words, found = _words(values.name), len(values.distinct)
    many, integers = found > FEW_CLASSES or values.too_many, values.whole == values.count
    if integers and many and found > 0.9 * values.count:
        return Suggestion(values.name, None, f"{found} different numbers: it looks like an identifier")
    low, high = int(values.low) if integers else values.low, int(values.high) if integers else values.high
    seen = f"{'whole ' if integers else ''}numbers from {low:g} to {high:g}"
    classes = integers and values.low >= -1 and values.high < MOST_CLASSES and (not many or words & CLASS_WORDS)
    if classes and found >= values.high / 2:
        return _numbered(values, seen, whole)
    task = {"kind": "regression", "field": values.name}
    doubts = ["numbers without a unit: add `unit: years` or the like for the report"]
    if integers and not many:
        doubts.append(f"few whole numbers: for classes write `kind: classification, classes: {high + 1}`")
    if low < 0 and f"{low:g}" in {"-1", "-9", "-99", "-999", "-9999"}:
        doubts.append(f"if {low:g} stands for no label, add `missing: {low:g}`")
    return Suggestion(values.name, task, seen, doubts)


def _numbered(values: Values, seen: str, whole: bool) -> Suggestion:
    """Classes that have numbers and no names."""
    task: dict[str, Any] = {"kind": "classification", "field": values.name, "classes": max(2, int(values.high) + 1)}
    doubts = ["classes without names: write a list of names instead of the number, in the order of the numbers"]
    if not whole:
        doubts.append("raise the number where other samples have larger ones")
    if values.low < 0:
        task["missing"] = -1
        doubts.append("-1 is taken for no label")
    elif values.low > 0:
        doubts.append("no sample seen has class 0: fine if labels start at 1; one class is then empty")
    return Suggestion(values.name, task, seen, doubts)


def _of_texts(values: Values, whole: bool) -> Suggestion:
    if several := _several(values, whole):
        return several
    found = len(values.distinct)
    if values.too_many or found > MOST_CLASSES:
        return Suggestion(values.name, None, "texts that are no class names")
    if (2 * found > values.count and found > FEW_CLASSES) or (found == values.count and found > 2):
        return Suggestion(values.name, None, f"{found} different texts in {values.count} samples: no class names")
    if any(map(is_number, values.distinct)):
        text = min((each for each in values.distinct if not is_number(each)), key=lambda each: values.distinct[each])
        found_text = f"{text!r} in {values.distinct[text]} of {values.count} samples"
        return Suggestion(values.name, None, f"numbers and texts mixed ({found_text}): correct one or the other")
    return _classes(values, sorted(values.distinct), f"{found} different texts", whole=whole)


def _classes(values: Values, names: list[str], seen: str, *, whole: bool = True) -> Suggestion:
    task = {"kind": "classification", "field": values.name, "classes": names}
    doubts = [] if whole else ["add names that only other samples have"]
    if lost := sorted(name for name in names if name.lower() in MISSING_WORDS):
        doubts.append(f"{lost[0]!r} is read as a class here; elsewhere it would mean that there is no label")
    return Suggestion(values.name, task, seen, doubts)


def _several(values: Values, whole: bool) -> Suggestion | None:
    """Texts of several names each: `Effusion|Mass`."""
    for separator in SEPARATORS:
        joined = [text for text in values.distinct if separator in text]
        parts = [part.strip() for text in values.distinct for part in text.split(separator)]
        if not joined or not all(parts) or values.too_many:
            continue
        names = sorted(set(parts))
        repeated = 2 * len(names) <= len(parts)
        if repeated and 2 <= len(names) <= MOST_CLASSES and all(len(name.split()) <= 4 for name in names):
            return _multilabel(values, names, {"separator": separator} if separator != "|" else {}, whole)
    return None


def _of_lists(values: Values, whole: bool) -> Suggestion:
    lengths = sorted(values.lengths)
    if values.item_kinds <= {"text"} and values.items and not values.too_many:
        names = sorted(values.items)
        if len(names) >= 2 and not any(map(is_number, names)) and len(names) <= MOST_CLASSES:
            return _multilabel(values, names, {}, whole)
    if (
        len(lengths) == 1
        and lengths[0]
        and set(values.items) <= {"0", "1", "-1", "0.0", "1.0", "-1.0", "true", "false"}
    ):
        task = {"kind": "multilabel", "field": values.name, "findings": lengths[0]}
        doubts = ["findings without names: write a list of names instead of the number, in the order of the vector"]
        if {"-1", "-1.0"} & set(values.items):
            doubts.append("-1 means no; where it means that nobody knows, add `minus_one: missing`")
        return Suggestion(values.name, task, f"vectors of {lengths[0]} values of 0 and 1", doubts)
    found = f"lists of {lengths[0]} to {lengths[-1]} entries" if len(lengths) > 1 else f"lists of {lengths[0]} entries"
    return Suggestion(values.name, None, f"{found} that are no findings")


def _multilabel(values: Values, names: list[str], more: dict[str, Any], whole: bool) -> Suggestion:
    nothing = next((name for name in names if name.lower() in {"no finding", "none", "nothing"}), None)
    findings = [name for name in names if name != nothing]
    task = {"kind": "multilabel", "field": values.name, "findings": findings, **more}
    if nothing is not None and nothing != "No Finding":
        task["nothing"] = nothing
    doubts = [] if whole else ["add findings that only other samples have"]
    return Suggestion(values.name, task, f"several of {len(findings)} names each", doubts)


def _words(name: str) -> set[str]:
    """The words of a field's last part, in small letters."""
    last = name.rpartition(".")[2]
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", last)}


def _shown(values: Values) -> str:
    return " and ".join(sorted(values.distinct)[:3])
