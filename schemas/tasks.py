"""What a task is, and how a raw field of a sample becomes a label."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.errors import SampleError

MISSING = -1
"""The label of a sample that has none for a task; such a sample leaves that task's loss."""

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "none", "null"})


def is_number(text: str) -> bool:
    """Whether a text reads as a number: such a class name could be taken for a class index."""
    try:
        float(text)
    except ValueError:
        return False
    return True


class Task(BaseModel):
    """One classification task of a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    """Name in reports and in `protection.tasks`; the last part of `field` when left out."""

    kind: Literal["classification"] = "classification"
    """Kind of label: one class index per image."""

    field: str = Field(pattern=r"^[^.\s]+(\.[^.\s]+)*$")
    """Member of the sample, dotted into JSON (`json.shape`, `cls`), or Parquet column (`shape`, `labels.shape`)."""

    classes: Annotated[int, Field(ge=2, le=100_000)] | list[str]
    """Number of classes C (labels are 0..C-1), or the names of the classes, in order."""

    @model_validator(mode="before")
    @classmethod
    def _name_from_field(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("name") and isinstance(data.get("field"), str):
            return {**data, "name": data["field"].rpartition(".")[2]}
        return data

    @model_validator(mode="after")
    def _check_class_names(self) -> Task:
        if isinstance(self.classes, list):
            if len(self.classes) < 2:
                raise ValueError(f"a classification task needs at least 2 classes; found the names {self.classes}")
            if len(set(self.classes)) != len(self.classes):
                raise ValueError(f"class names must differ; found {self.classes}")
            bad = [name for name in self.classes if not name.strip() or name != name.strip() or is_number(name)]
            if bad:
                raise ValueError(
                    f"class names must be words without spaces around them; found {bad[0]!r} "
                    "(for numbered classes, give their number: `classes: 5`)"
                )
        return self

    @property
    def class_count(self) -> int:
        """C, the number of classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> list[str]:
        """C names; the indices as text where the configuration gives only a number."""
        return [str(index) for index in range(self.classes)] if isinstance(self.classes, int) else self.classes

    @property
    def member(self) -> str:
        """The sample's member (or Parquet column) that holds this label: the part of `field` before the first dot."""
        return self.field.partition(".")[0]

    @property
    def path(self) -> tuple[str, ...]:
        """Keys to follow inside that member, when it is JSON (or a Parquet struct)."""
        rest = self.field.partition(".")[2]
        return tuple(rest.split(".")) if rest else ()

    def label(self, raw: Any) -> int:
        """Turn the raw value of a field into a class index.

        Args:
            raw: what JSON, Parquet or a text member holds; None, NaN and empty text mean that the label is missing.

        Returns:
            The class index in 0..C-1, or `MISSING`.

        Raises:
            SampleError: `label-out-of-range` or `label-unreadable`, naming the task, the field and the value found.
        """
        if raw is None or (isinstance(raw, float) and math.isnan(raw)):
            return MISSING
        if isinstance(raw, str):
            text = raw.strip()
            if isinstance(self.classes, list) and text in self.classes:
                return self.classes.index(text)
            if text.lower() in MISSING_WORDS:
                return MISSING
            if not re.fullmatch(r"-?[0-9]{1,9}(\.0*)?", text):
                raise self._unreadable(raw)
            raw = int(float(text))
        if isinstance(raw, float) and raw.is_integer():
            raw = int(raw)
        if not isinstance(raw, int):
            raise self._unreadable(raw)
        if not 0 <= raw < self.class_count:
            raise SampleError(
                "label-out-of-range",
                f"task {self.name!r}: field {self.field!r} holds {int(raw)}, outside 0..{self.class_count - 1}; "
                f"correct the label or raise `classes` (now {self.class_count})",
            )
        return int(raw)

    def _unreadable(self, raw: Any) -> SampleError:
        known = f"one of {self.classes}" if isinstance(self.classes, list) else "a class index"
        return SampleError(
            "label-unreadable", f"task {self.name!r}: field {self.field!r} holds {raw!r}; expected {known}"
        )
