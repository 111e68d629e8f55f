"""Which shards are for training and which are held out, by their names, as patterns of a configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

HELD_OUT = frozenset({"test", "testing", "tst"})

_SPLIT = re.compile(
    r"(?:^|(?<=[/_.-]))(train|training|trn|test|testing|tst|val|valid|validation|dev)(?=[/_.-])", re.IGNORECASE
)


@dataclass(frozen=True)
class Splits:
    """Patterns below a place; both empty where the names tell no splits."""

    protected: tuple[str, ...] = ()
    """Training and validation data."""
    held_out: tuple[str, ...] = ()
    """Test data."""


def splits_of(names: Sequence[str]) -> Splits:
    """The patterns of the splits that shards are named after.

    >>> splits_of(["test-00000.tar", "train-00000.tar", "train-00001.tar"])
    Splits(protected=('train-*.tar',), held_out=('test-*.tar',))
    >>> splits_of(["a.tar", "train-0.tar"]), splits_of(["test/0.tar"])
    (Splits(protected=(), held_out=()), Splits(protected=(), held_out=()))
    """
    protected: dict[str, None] = {}
    held_out: dict[str, None] = {}
    for name in names:
        found = _SPLIT.search(name)
        if found is None:
            return Splits()
        if name[found.end()] == "/":
            pattern = name[: found.end() + 1]
        elif name.count("/", found.end()):
            return Splits()
        else:
            pattern = f"{name[: found.end() + 1]}*{PurePosixPath(name).suffix}"
            pattern = name if name[found.end() :] == PurePosixPath(name).suffix else pattern
        (held_out if found[1].lower() in HELD_OUT else protected)[pattern] = None
    return Splits(tuple(protected), tuple(held_out)) if protected else Splits()
