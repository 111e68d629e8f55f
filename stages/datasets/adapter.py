"""The contract of an adapter: the rows of a public dataset as it lies on a disk, and the sample that a row becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import field_validator

from schemas.imports import Parameters, Skipped
from schemas.model import Model

Members = list[tuple[str, bytes]]
"""Members of a sample, each (field, data), in the order stored."""


class Checked(NamedTuple):
    """What the lists of a dataset show before anything is imported."""

    parameters: Parameters
    """Digests of what was read."""
    rows: int
    """Rows there are, as far as the lists tell; for the progress."""


class Row(NamedTuple):
    """One sample before its files are read; small, since shards travel to workers as lists of rows."""

    split: str
    """`train`, `val` or `test`: the start of the shard's name."""
    key: str
    """The sample's key; unique in the dataset."""
    place: str
    """Path below `source` of the file that it is made from; `file#17` for a record inside a file."""
    size: int
    """Bytes that are read for it; a change of it makes the shard anew."""
    labels: dict[str, Any]
    """What goes into its `json` member, or the adapter's own note of it."""


class Adapter(Model, ABC):
    """A public dataset in the layout in which people have it on disk.

    A frozen model: its fields are the options that decide the bytes, and it travels to the workers. `check` and `rows`
    run in the driver and open no image; `members` runs in a worker.
    """

    name: ClassVar[str]
    """Name of the dataset, as in `mtlue import <name>`."""

    source: Path
    """Directory that holds the dataset, absolute; decides nothing about the bytes."""

    @field_validator("source")
    @classmethod
    def _absolute(cls, source: Path) -> Path:
        return source.expanduser().absolute()  # a worker may be in another directory

    @abstractmethod
    def check(self) -> Checked:
        """Read the lists once, before anything is written.

        Raises:
            ConfigError: the directory or one of its lists is not there.
            InputError: a list is damaged as a whole (a count that lies, an encoding, a missing column).
        """

    @abstractmethod
    def rows(self) -> Iterator[Row | Skipped]:
        """Every row, in an order that depends on the source alone; as `Skipped` where it becomes no sample."""

    @abstractmethod
    def members(self, row: Row) -> Members:
        """The sample of a row.

        Raises:
            SampleError: the row becomes no sample; it is counted.
            OSError: a file that `rows` saw cannot be read.
        """

    @property
    def parameters(self) -> Parameters:
        """Name and options: with the digests of `check`, all that decides the bytes."""
        options: dict[str, Any] = {}
        for name, value in self.model_dump(mode="json", exclude={"source"}).items():
            options |= value if isinstance(value, dict) else {name: value}
        return {"dataset": self.name, **{name: _plain(value) for name, value in options.items()}}


def _plain(value: Any) -> int | str:
    return value if type(value) in (int, str) else str(value)
