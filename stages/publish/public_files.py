"""What lies in the public place: the files of mtlue, the mark of an update, and strangers, which must not be data.

    updating.json   the mark, before the first shard is replaced
    …               shards, one after the other
    manifest.json   the new one
                    the mark is removed, last

A reader who sees the same manifest and no mark before and after reading has read one state of the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError as PydanticError

from schemas.records import Record
from stages.io.images.formats import looks_like_image
from stages.io.shards.sample import text_of
from stages.io.store.objects import Entry
from stages.io.store.store import Store
from stages.publish.manifest import MANIFEST

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


README, CARD = "README.md", "CARD.md"
"""Names of the dataset card: the second one where the owner has a README.md."""

PUBLIC = (README, CARD, "croissant.json", "wids.json", MANIFEST, UPDATING)
"""What mtlue publishes beside shards."""

MARKS = ".mtlue-"
"""How the names of our own marks begin; they are no part of what is published."""

FOLDERS, MAC = (".git/", ".cache/huggingface/"), ".DS_Store"
"""What git, the Hugging Face Hub and a Mac keep in a folder for themselves; nobody takes it for data."""

DATA_ENDINGS = (".tar", ".parquet", ".svg")
"""Endings of data whatever is in the file."""

LARGEST_TEXT = 2**20
"""Bytes of a text such as LICENSE, at most; what is larger may be data."""


def possible_data(output: Store, entries: Iterable[Entry], known: Iterable[str]) -> list[str]:
    """Names, sorted, of files that may be data though they are not known: all but small texts and what tools keep.

    Args:
        output: the public place.
        entries: its listing.
        known: names of its shards.
    """
    ours = {*known, *PUBLIC}
    unknown = [entry for entry in entries if entry.name not in ours and not _passed_by(entry.name)]
    with ThreadPoolExecutor(16) as pool:
        data = pool.map(lambda entry: _may_be_data(output, entry), unknown)
        return sorted(entry.name for entry, found in zip(unknown, data, strict=True) if found)


def _passed_by(name: str) -> bool:
    basename = name.rpartition("/")[2]
    return basename.startswith(MARKS) or basename == MAC or any(f"/{folder}" in f"/{name}" for folder in FOLDERS)


def _may_be_data(output: Store, entry: Entry) -> bool:
    if entry.size > LARGEST_TEXT or entry.name.lower().endswith(DATA_ENDINGS):
        return True
    data = output.read(entry.name)
    return text_of(data) is None or looks_like_image(data)
