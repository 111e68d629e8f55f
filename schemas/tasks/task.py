"""What every task has, whatever its kind: a name, a field, metrics, and how it complains of a label."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.errors import SampleError
from schemas.metrics import Metric

MISSING = -1
"""The class of a sample that has no label for a task; such a sample leaves that task's loss."""

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "none", "null"})

MEMBER_ENDINGS = frozenset({"json", "npy", "png", "tif", "tiff", "txt", "webp"})
"""A part of a field that ends a member's name, so that `json.shape` lies in `json`, and `depth.npy` is one member."""


def is_number(text: str) -> bool:
    """Whether a text reads as a number: such a class name could be taken for a class index."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_missing(raw: Any) -> bool:
    """Whether the raw value of a field means that there is no label: None, NaN, empty text, `n/a` and the like."""
    if isinstance(raw, str):
        return raw.strip().lower() in MISSING_WORDS
    return raw is None or (isinstance(raw, float) and math.isnan(raw))


Sentinel = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)] | str
"""A value of a field that stands for no label."""


def is_sentinel(raw: Any, sentinel: int | float | str | None) -> bool:
    """Whether the raw value of a field is the one that stands for no label, as a number or as text."""
    if sentinel is None or isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return False
    if str(raw).strip() == str(sentinel).strip():
        return True
    return is_number(str(raw)) and is_number(str(sentinel)) and float(raw) == float(sentinel)


def only_name(raw: Any) -> Any:
    """The name in a list of a single one, as a Parquet column of lists has it; everything else as it is."""
    return raw[0] if isinstance(raw, list | tuple) and len(raw) == 1 and isinstance(raw[0], str) else raw


class Task(BaseModel):
    """One task of a dataset: the base of every kind.

    `Task(field=…, classes=…)` gives the task of its `kind`, a classification by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    """Name in reports and in `protection.tasks`; the last part of `field`, spaces as `_`, when left out."""

    implementation: ClassVar[str] = ""
    """`module:class` of the `stages.tasks.task_kind.TaskKind` of a kind that another package adds. Our own kinds have a
    row in `stages/tasks/kinds.py`."""

    kind: str
    """Kind of label. Each kind names its own; only the default, classification, may be left out."""

    field: str = Field(pattern=r"^[^.\s]+( +[^.\s]+)*(\.[^.\s]+( +[^.\s]+)*)*$")
    """Member of the sample, dotted into JSON (`json.shape`, `cls`), or Parquet column (`shape`, `Finding Labels`)."""

    def __new__(cls, **values: Any) -> Self:
        """A task of the kind that is given."""
        if cls is Task:
            wanted = values.get("kind", "classification")
            for known in Task.__subclasses__():
                if wanted in get_args(known.model_fields["kind"].annotation):
                    return super().__new__(known)  # type: ignore[return-value]
        return super().__new__(cls)

    @model_validator(mode="before")
    @classmethod
    def _name_from_field(cls, data: Any) -> Any:
        if cls is Task:
            raise ValueError("there is no such kind of task")
        if isinstance(data, dict) and not data.get("name") and isinstance(data.get("field"), str):
            return {**data, "name": re.sub(r"[^A-Za-z0-9_-]", "_", data["field"].rpartition(".")[2])}
        return data

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Figures of a victim in this task; the first decides a verdict."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        """What a label is, in words for strangers: `classes, in order: disc, square`."""
        raise NotImplementedError

    @property
    def per_pixel(self) -> bool:
        """Whether a label has a value for each pixel: what is counted of it are pixels, not samples."""
        return False

    @property
    def yes_or_no(self) -> bool:
        """Whether a label is one of two answers about the whole image."""
        return False

    @property
    def category(self) -> str:
        """The Hugging Face Hub's word for tasks of this kind."""
        return "image-classification"

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in order; empty where there are none."""
        return []

    @property
    def feature(self) -> dict[str, Any]:
        """The Hugging Face feature of a column with these labels; empty where they stay in their member."""
        return {}

    @property
    def parts(self) -> list[Task]:
        """The tasks that it stands for: itself, or those of a set."""
        return [self]

    @property
    def group(self) -> str:
        """Name of the set that it is a part of; its own name where it has no set."""
        return self.name

    @property
    def set_description(self) -> str:
        """What the labels of its set are, in words for strangers; its own description where it has no set."""
        return self.description

    @property
    def member(self) -> str:
        """The sample's member (or Parquet column) that holds this label."""
        parts = self.field.split(".")
        ends = (length for length, part in enumerate(parts, 1) if part.lower() in MEMBER_ENDINGS)
        return ".".join(parts[: next(ends, 1)])

    @property
    def path(self) -> tuple[str, ...]:
        """Keys to follow inside that member, when it is JSON (or a Parquet struct)."""
        rest = self.field[len(self.member) + 1 :]
        return tuple(rest.split(".")) if rest else ()

    def out_of_range(self, found: object, allowed: str, hint: str) -> SampleError:
        """The error of a label outside the task's range."""
        return SampleError(
            "label-out-of-range",
            f"task {self.name!r}: field {self.field!r} holds {found}, outside {allowed}; {hint}",
        )

    def offer_missing(self, found: float) -> str:
        """What to do about a number that may stand for no label, as -1, -999 or 99 often do."""
        return f"; if it stands for no label, set `missing: {found:g}`"

    def tells_apart(self, low: float, high: float) -> bool:
        """Whether numbers from `low` to below `high` may be different labels; asked of kinds without classes."""
        return low < high

    def doubt(self, seen: str) -> str:
        """What may be the cause when no label but one value occurs, and what to do; empty when nothing is known."""
        return ""

    def unreadable(self, raw: object, expected: str) -> SampleError:
        """The error of a value that is no label at all."""
        shown = "binary data" if isinstance(raw, bytes) else repr(raw)
        shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
        return SampleError(
            "label-unreadable", f"task {self.name!r}: field {self.field!r} holds {shown}; expected {expected}"
        )
