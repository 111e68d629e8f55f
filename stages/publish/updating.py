"""The mark of an update: while it lies in the public place, shards there may not be those of the manifest.

    updating.json   before the first shard is replaced
    …               shards, one after the other
    manifest.json   the new one
                    the mark is removed, last

A reader who sees the same manifest and no mark before and after reading has read one state of the dataset.
"""

from __future__ import annotations

from pydantic import ValidationError as PydanticError

from schemas.records import Record
from stages.io.store.store import Store

UPDATING = "updating.json"
"""Its name in a public place."""


class Updating(Record):
    """What the mark says; nothing private."""

    format: str = "mtlue-updating-1"
    shards: int
    """Shards that are being replaced, at most."""


def begin_update(output: Store, shards: int) -> None:
    """Tell every reader that shards are being replaced."""
    output.write(UPDATING, Updating(shards=shards).model_dump_json().encode())


def is_update(output: Store) -> bool:
    """Whether the file of that name is the mark of an update, and not somebody else's."""
    try:
        return bool(Updating.model_validate_json(output.read(UPDATING)))
    except PydanticError:
        return False


def end_update(output: Store) -> None:
    """The manifest describes what lies there again."""
    output.delete(UPDATING)
