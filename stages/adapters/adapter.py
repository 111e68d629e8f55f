"""The contract of an adapter: the rows of a dataset, and the sample that a row becomes.

Every form of data other than shards comes in through an adapter: folders, tables, frames of a video, medical series,
one large file. Each row is one sample; of a video that is one frame, whose `place` is `file#frame`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import ValidationError, field_validator

from schemas.errors import ConfigError
from schemas.imports import Parameters, Skipped
from schemas.model import Model
from stages.io.shards.sample import key_hash

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
    """Path below `source` of the file that it is made from; `file#17` for a record inside a file; a drawn one's key."""
    size: int
    """Bytes that are read for it; when this changes, the shard is written again."""
    labels: dict[str, Any]
    """What goes into its `json` member, or the adapter's own note of it."""


class Adapter(Model, ABC):
    """A dataset that can become shards: one that lies on a disk, or one that is drawn here.

    A frozen model: its fields are the options that decide the bytes, and the options of `mtlue import <name>`. It
    travels to the workers. `check` and `rows` run in the driver and open no image; `members` runs in a worker.
    """

    name: ClassVar[str]
    """Name of the dataset, as in `mtlue import <name>`."""

    hidden: ClassVar[frozenset[str]] = frozenset()
    """Fields that are no options of the command."""

    positional: ClassVar[frozenset[str]] = frozenset()
    """Fields that the command takes by their place, without a name."""

    places: ClassVar[frozenset[str]] = frozenset({"source"})
    """Fields that say where something lies; they decide nothing about the bytes."""

    configured: ClassVar[bool] = False
    """Whether its import also writes a configuration."""

    shard_samples: ClassVar[int] = 1000
    """Samples in a shard, unless the command says otherwise."""

    workers: ClassVar[int | None] = None
    """Workers, unless the command says otherwise; None: every core."""

    @classmethod
    def of(cls, **options: Any) -> Adapter:
        """The adapter with these options.

        Raises:
            ConfigError: an option is out of range.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in found["loc"])
            problem = (
                str(found["ctx"]["error"]) if found["type"] == "value_error" else found["msg"].removeprefix("Input ")
            )
            raise ConfigError(f"{where}: {problem[0].lower()}{problem[1:]}; found {found['input']!r}") from None

    @property
    def origin(self) -> str:
        """Where the data comes from, for messages."""
        return self.name

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

    def known_labels(self) -> Iterator[Mapping[str, Any]] | None:
        """What the `json` member of every sample holds, where that is known before any is read."""
        return None

    def known_names(self) -> Mapping[str, list[str]]:
        """Field → names of its classes, where the dataset says them."""
        return {}

    @property
    def parameters(self) -> Parameters:
        """Name and options: with the digests of `check`, all that decides the bytes."""
        options: dict[str, Any] = {}
        for name, value in self.model_dump(mode="json", exclude=set(self.places)).items():
            options |= value if isinstance(value, dict) else {name: value}
        return {"dataset": self.name, **{name: _plain(value) for name, value in options.items()}}


class OnDisk(Adapter):
    """A dataset in the layout in which people have it on disk."""

    source: Path
    """Folder that holds the dataset."""

    @field_validator("source")
    @classmethod
    def _absolute(cls, source: Path) -> Path:
        return source.expanduser().absolute()  # a worker may be in another directory

    @property
    def origin(self) -> str:
        """The folder."""
        return str(self.source)


def _plain(value: Any) -> int | str:
    return value if type(value) in (int, str) else str(value)


def held_out(key: str, percent: int) -> str:
    """`test` for `percent` of all keys, by their hash, else `train`.

    >>> [held_out(key, 50) for key in ("26_0_1_20170116184732662", "patient 7", "patient 9")]
    ['test', 'train', 'train']
    """
    return "test" if int.from_bytes(key_hash(key), "big") % 100 < percent else "train"
