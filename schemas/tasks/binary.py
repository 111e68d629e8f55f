"""Binary: yes or no, one per image; also one finding of a multi-label set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from schemas.errors import SampleError
from schemas.metrics import ACCURACY, AUC, BALANCED_ACCURACY, Metric
from schemas.model import Model
from schemas.tasks.classification import check_names, class_label
from schemas.tasks.task import MISSING, Task, is_missing, is_number, only_name

WORDS = {"0": 0, "no": 0, "n": 0, "false": 0, "f": 0, "1": 1, "yes": 1, "y": 1, "true": 1, "t": 1}
"""Spellings of no and yes in text, in lower case; `minus_one` decides what -1 means."""


class Part(Model):
    """Which entry of a multi-label vector a binary task reads."""

    of: str
    """Name of the set."""
    findings: list[str]
    """Names of all entries of the vector, in order."""
    index: int
    """Of its own entry, from 0."""
    separator: str = "|"
    """Between the names, where the field is text."""
    nothing: str = "No Finding"
    """The word for none of them, where the field is text."""


class BinaryTask(Task):
    """Yes or no."""

    kind: Literal["binary"]
    """Kind of label: 0 or 1 per image."""

    classes: list[str] | None = Field(default=None, min_length=2, max_length=2)
    """Words for no and yes in the data and in reports, in this order: `[female, male]`."""

    minus_one: Literal["no", "missing"] = "no"
    """What -1 means: no (as beside 1 in CelebA's lists), or no label (an uncertain finding)."""

    part: Part | None = None
    """Which entry of a vector it reads; written for each finding of a `multilabel` set."""

    @model_validator(mode="after")
    def _check_class_names(self) -> BinaryTask:
        if self.classes is not None:
            check_names(self.classes)
        return self

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """AUC, mean recall, both with a chance line of 1/2 whatever the share of yes, and plain accuracy.

        AUC decides: where few images have an attribute, a model that has learned it may still answer no to all. Mean
        recall at P(yes) > 1/2 takes that for chance.
        """
        return (AUC, BALANCED_ACCURACY, ACCURACY)

    @property
    def feature(self) -> dict[str, Any]:
        """Class indices."""
        return class_label(self.class_names)

    @property
    def description(self) -> str:
        """The two classes, and the place in a vector."""
        names = f"0 = {self.class_names[0]}, 1 = {self.class_names[1]}"
        return names if self.part is None else f"{names}; entry {self.part.index} of {len(self.part.findings)}"

    @property
    def yes_or_no(self) -> bool:
        """It is."""
        return True

    @property
    def class_count(self) -> int:
        """2."""
        return 2

    @property
    def class_names(self) -> list[str]:
        """Words for no and yes."""
        return self.classes or ["no", "yes"]

    @property
    def group(self) -> str:
        """Name of the multi-label set, or its own."""
        return self.name if self.part is None else self.part.of

    @property
    def set_description(self) -> str:
        """The findings of the vector."""
        return self.description if self.part is None else f"findings, in order: {', '.join(self.part.findings)}"

    def label(self, raw: Any) -> int:
        """Turn the raw value of a field into 0 or 1.

        Args:
            raw: 0/1, -1/1, true/false or one of `WORDS` or `classes`, or a list of one name. For a finding: the whole
                vector (a list, or an object of name → value), or the names of all that the image has (a list, or text).

        Returns:
            0, 1 or `MISSING`.

        Raises:
            SampleError: `label-unreadable`, `label-out-of-range` or `label-wrong-length`.
        """
        return self._answer(only_name(raw) if self.part is None else self._entry(raw, self.part))

    def _answer(self, raw: Any) -> int:
        text = str(raw).strip() if isinstance(raw, str | int | float) else None
        if text is not None and self.classes is not None and text in self.classes:
            return self.classes.index(text)
        if is_missing(raw):
            return MISSING
        if text is None:
            raise self.unreadable(raw, self._expected)
        word = text.lower().removesuffix(".0").removeprefix("+")
        if word == "-1":
            return 0 if self.minus_one == "no" else MISSING
        if word not in WORDS:
            if isinstance(raw, str):
                raise self.unreadable(raw, self._expected)
            raise self.out_of_range(raw, "0..1", "correct the label, or make the task a classification or regression")
        return WORDS[word]

    @property
    def _expected(self) -> str:
        named = "" if self.classes is None else f", or one of {self.classes}"
        return f"0 or 1, -1 or 1, yes or no, true or false{named}"

    def _entry(self, raw: Any, part: Part) -> Any:
        """The value of this finding in a vector, an object, a list of names or a text of names."""
        count = len(part.findings)
        if _is_names(raw, part):
            return self._among(raw, part)
        if isinstance(raw, list | tuple):
            if len(raw) != count:
                raise SampleError(
                    "label-wrong-length",
                    f"task {part.of!r}: field {self.field!r} holds {len(raw)} values; expected {count}, one for each "
                    "of `findings`; correct the label or `findings`",
                )
            return raw[part.index]
        if isinstance(raw, dict):
            return raw.get(part.findings[part.index])
        if is_missing(raw):
            return None
        if not isinstance(raw, str):
            raise self.unreadable(raw, f"a list of {count} values, or names joined by {part.separator!r}")
        return self._among(raw.split(part.separator), part)

    def _among(self, found: Sequence[str], part: Part) -> int:
        """Whether this finding is among the names that an image has."""
        names = {name.strip() for name in found}
        unknown = sorted(names - {*part.findings, part.nothing})
        if unknown:
            expected = f"names of {part.findings} or {part.nothing!r}, in a list or joined by {part.separator!r}"
            raise self.unreadable(unknown[0], expected)
        return int(part.findings[part.index] in names)


def _is_names(raw: Any, part: Part) -> bool:
    """Whether a list names the findings of an image, instead of giving a value for each finding. Findings that are only
    numbered have no names. An empty list of names says that the image has no finding.
    """
    if not isinstance(raw, list | tuple) or any(map(is_number, part.findings)):
        return False
    names = {*part.findings, part.nothing}
    texts = all(isinstance(entry, str) for entry in raw)
    return texts and (len(raw) != len(part.findings) or any(entry.strip() in names for entry in raw))
