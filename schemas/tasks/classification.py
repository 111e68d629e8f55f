"""Classification: one class index per image; also the names and number of classes that other kinds use."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.metrics import ACCURACY, BALANCED_ACCURACY, Metric
from schemas.tasks.task import MISSING, Sentinel, Task, is_missing, is_number, is_sentinel, only_name


class Classes:
    """Part of a kind whose configuration has `classes`: their number C, or their names in order."""

    classes: int | list[str]

    @property
    def class_count(self) -> int:
        """C, the number of classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> list[str]:
        """C names; the indices as text where the configuration gives only a number."""
        return [str(index) for index in range(self.classes)] if isinstance(self.classes, int) else self.classes

    @property
    def in_order(self) -> str:
        """The classes in words: their names, or the range of their indices."""
        named = f"0..{self.class_count - 1}" if isinstance(self.classes, int) else ", ".join(self.classes)
        return f"classes, in order: {named}"


def check_names(names: list[str]) -> None:
    """Refuse names that repeat, or that could be mistaken for each other or for a number.

    Raises:
        ValueError: names the first of them.
    """
    if len(set(names)) != len(names):
        raise ValueError(f"class names must differ; found {names}")
    bad = [name for name in names if not name.strip() or name != name.strip() or is_number(name)]
    if bad:
        raise ValueError(
            f"class names must be words without spaces around them; found {bad[0]!r} "
            "(for numbered classes, give their number: `classes: 5`)"
        )


def class_label(names: list[str]) -> dict[str, Any]:
    """The Hugging Face feature of class indices."""
    return {"names": names, "_type": "ClassLabel"}


class ClassificationTask(Classes, Task):
    """One of C classes."""

    kind: Literal["classification"] = "classification"
    """Kind of label: one class index per image."""

    classes: Annotated[int, Field(ge=2, le=100_000)] | list[str]
    """Number of classes C (labels are 0..C-1), or the names of the classes, in order."""

    missing: Sentinel | None = None
    """What stands for no label in the data besides null, NaN and empty text, such as -1; it must name no class."""

    @model_validator(mode="after")
    def _check_class_names(self) -> ClassificationTask:
        if isinstance(self.classes, list):
            if len(self.classes) < 2:
                raise ValueError(f"a classification task needs at least 2 classes; found the names {self.classes}")
            check_names(self.classes)
        names = [*map(str, range(self.class_count)), *self.class_names]
        taken = next((name for name in names if is_sentinel(name, self.missing)), None)
        if taken is not None:
            raise ValueError(f"missing is {self.missing!r}, which is the class {taken!r}; it must stand for no class")
        return self

    @property
    def yes_or_no(self) -> bool:
        """Whether there are two classes."""
        return self.class_count == 2

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Mean recall, whose chance line is 1/C whatever the class sizes, and plain accuracy."""
        return BALANCED_ACCURACY, ACCURACY

    @property
    def feature(self) -> dict[str, Any]:
        """Class indices."""
        return class_label(self.class_names)

    @property
    def description(self) -> str:
        """The classes in order."""
        return self.in_order

    def label(self, raw: Any) -> int:
        """Turn the raw value of a field into a class index.

        Args:
            raw: what JSON, Parquet or a text member holds, or a list of one name. None, NaN, empty text and `missing`
                mean that there is no label.

        Returns:
            The class index in 0..C-1, or `MISSING`.

        Raises:
            SampleError: `label-out-of-range` or `label-unreadable`, naming the task, the field and the value found.
        """
        raw = only_name(raw)
        known = f"one of {self.classes}" if isinstance(self.classes, list) else "a class index"
        if isinstance(raw, str) and isinstance(self.classes, list) and raw.strip() in self.classes:
            return self.classes.index(raw.strip())
        if is_missing(raw) or is_sentinel(raw, self.missing):
            return MISSING
        found = raw
        if isinstance(found, str):
            if not re.fullmatch(r"-?[0-9]{1,9}(\.0*)?", found.strip()):
                raise self.unreadable(raw, known)
            found = int(float(found))
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if isinstance(found, list):
            raise self.unreadable(raw, f"{known}, one an image (for several, use `kind: multilabel`)")
        if not isinstance(found, int):
            raise self.unreadable(raw, known)
        if not 0 <= found < self.class_count:
            hint = f"correct the label or raise `classes` (now {self.class_count}){self.offer_missing(found)}"
            raise self.out_of_range(int(found), f"0..{self.class_count - 1}", hint)
        return int(found)
