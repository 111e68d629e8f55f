"""Multi-label: C findings per image, each yes or no; in plans it is C binary tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.metrics import Metric
from schemas.tasks.binary import BinaryTask, Part
from schemas.tasks.classification import check_names
from schemas.tasks.task import Task


class MultilabelTask(Task):
    """A set of C findings in one field. The field is a vector of 0 and 1 (JSON, npy, a Parquet list). Or it names the
    findings of an image (a list of text, or one text).

    It stands for C binary tasks, `<name>.<finding>`. Each has its own embedding, head, figures and missing labels.
    `protection.tasks` may name one of them or the set.
    """

    kind: Literal["multilabel"]
    """Kind of label: C findings per image."""

    findings: Annotated[int, Field(ge=1, le=10_000)] | Annotated[list[str], Field(min_length=1)]
    """Number of findings C, or their names, in the order of the vector."""

    minus_one: Literal["no", "missing"] = "no"
    """What -1 in the vector means: no (CelebA), or no label (an uncertain finding)."""

    separator: str = Field(default="|", min_length=1)
    """Between the names, where the field is text."""

    nothing: str = "No Finding"
    """The word for none of them, where the field is text."""

    @model_validator(mode="after")
    def _check_names(self) -> MultilabelTask:
        if isinstance(self.findings, list):
            check_names(self.findings)
        return self

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of each finding."""
        return self.parts[0].metrics

    @property
    def description(self) -> str:
        """The findings in order."""
        return f"findings, in order: {', '.join(self._names)}"

    @property
    def parts(self) -> list[Task]:
        """One binary task a finding; spaces and the like in its name become `_`."""
        return [
            BinaryTask(
                kind="binary",
                name=f"{self.name}.{''.join(sign if sign.isalnum() or sign in '_-' else '_' for sign in finding)}",
                field=self.field,
                minus_one=self.minus_one,
                part=Part(
                    of=self.name,
                    findings=self._names,
                    index=index,
                    separator=self.separator,
                    nothing=self.nothing,
                ),
            )
            for index, finding in enumerate(self._names)
        ]

    @property
    def _names(self) -> list[str]:
        return [str(index) for index in range(self.findings)] if isinstance(self.findings, int) else self.findings
