"""The values of one field over some samples: counts, ranges and the values themselves while they are few."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from schemas.tasks.task import is_missing

MOST_VALUES = 5000
"""Different values of a field that are remembered; more are no classes."""

DEEPEST = 8
"""Levels of JSON in which labels are looked for."""

LONGEST = 200
"""Letters of a value that is remembered whole; a longer text is no class name."""


@dataclass
class Values:
    """What one field of the samples' labels holds."""

    name: str
    """Dotted as a task names it: `json.label`, `cls`."""
    count: int = 0
    """Samples with a value."""
    missing: int = 0
    """Samples in which it is null, NaN, or empty text."""
    numbers: int = 0
    """Values that are numbers, or texts that read as one."""
    whole: int = 0
    """Of these, whole numbers."""
    texts: int = 0
    """Values that are text, numbers among them."""
    lists: int = 0
    others: int = 0
    """Values that no task reads."""
    low: float = math.inf
    high: float = -math.inf
    distinct: Counter[str] = field(default_factory=Counter)
    """Value, as text → how often; at most `MOST_VALUES`."""
    too_many: bool = False
    """Whether some values were not remembered."""
    lengths: set[int] = field(default_factory=set)
    """Lengths of the lists."""
    items: Counter[str] = field(default_factory=Counter)
    """Entry of the lists, as text → in how many samples."""
    item_kinds: set[str] = field(default_factory=set)
    """`number`, `text` or `other`."""

    def add(self, value: Any) -> None:
        """Count one sample's value."""
        if is_missing(value):
            self.missing += 1
            return
        self.count += 1
        if isinstance(value, list | tuple):
            self._add_list(list(value))
        elif isinstance(value, bool | int | float | str):
            self._add_scalar(value)
        else:
            self.others += 1

    def _add_scalar(self, value: bool | int | float | str) -> None:
        text = value.strip() if isinstance(value, str) else json.dumps(value)
        self.texts += isinstance(value, str)
        number = _number(value)
        if number is not None:
            self.numbers += 1
            self.whole += number.is_integer()
            self.low, self.high = min(self.low, number), max(self.high, number)
            text = str(int(number)) if number.is_integer() else repr(number)
        self._remember(self.distinct, text)

    def _add_list(self, values: list[Any]) -> None:
        self.lists += 1
        self.lengths.add(len(values))
        for value in values:
            number = _number(value) if not isinstance(value, str) else None
            kind = "number" if number is not None else "text" if isinstance(value, str) else "other"
            self.item_kinds.add(kind)
        texts = {value.strip() if isinstance(value, str) else json.dumps(value, default=str) for value in values}
        for text in sorted(texts):
            self._remember(self.items, text)

    def _remember(self, counter: Counter[str], text: str) -> None:
        if len(text) > LONGEST or (text not in counter and len(counter) >= MOST_VALUES):
            self.too_many = True
        else:
            counter[text] += 1


def _number(value: Any) -> float | None:
    """The finite number that a value is or spells."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def flattened(prefix: str, value: Any, depth: int = 0) -> list[tuple[str, Any]]:
    """Dotted name and value of each key below a JSON object; a list is one value, and so is what lies too deep."""
    if not isinstance(value, dict) or not value or depth >= DEEPEST:
        return [(prefix, value)]
    names = {key: f"{prefix}.{key}" if prefix else key for key in value}
    return [pair for key, inner in value.items() for pair in flattened(names[key], inner, depth + 1)]
