"""A look at a few samples of a dataset: image member, labels, splits by shard names, and what must not be published."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from schemas.dataset import Layout
from schemas.errors import InputError, RefusedInputError
from schemas.records import Quarantined, ShardRef
from stages.io.images.formats import header_size, image_format, looks_like_image
from stages.io.shards.originals.hidden import hidden_originals
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Member, Sample, text_of
from stages.io.store.store import Store
from stages.survey.maps import Maps, is_map
from stages.survey.values import Columns, Values, columns_of, flattened

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


SHARDS = 8
"""Shards that are looked into at most: first, last and some between."""

MOST_FIELDS = 400
"""Fields that are looked at; JSON with more has data as its keys."""

SEARCHED = 200
"""Samples whose text is searched for the original at most."""

LABEL_WORDS = ("mask", "seg", "depth", "disparity", "normal", "label", "annotation", "instance", "edge", "thumb")
"""In a member's name: an image that is not the one to protect."""


@dataclass
class Survey:
    """What some samples of a dataset show."""

    samples: int = 0
    left_out: list[Quarantined] = field(default_factory=list)
    without_image: int = 0
    images: Counter[str] = field(default_factory=Counter)
    """Image member → samples that have it."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """H and W of each image."""
    fields: dict[str, Values] = field(default_factory=dict)
    passed_by: Counter[str] = field(default_factory=Counter)
    """Fields beyond `MOST_FIELDS` → samples that have them."""
    maps: dict[str, Maps] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    """Member that nobody can publish unseen → what it is."""
    leads: dict[str, str] = field(default_factory=dict)
    """Member or key that holds or leads back to an original → what was found."""
    columns: Columns = field(default_factory=Columns)
    """What a Parquet file says of its columns."""
    class_names: dict[str, list[str]] = field(default_factory=dict)
    """Field → names of its classes, where the dataset says them."""
    complete: bool = True
    """Whether every sample was read."""
    whole: bool = False
    """Whether the labels of every sample were seen."""

    @property
    def side(self) -> int:
        """The median of the images' shorter sides, in pixels; 0 where there is no image."""
        return int(np.median([min(size) for size in self.sizes])) if self.sizes else 0

    def add(self, sample: Sample) -> None:
        """Look at one sample."""
        self.samples += 1
        image = _image_of(sample)
        size = None
        if image is None:
            self.without_image += 1
        else:
            self.images[self.columns.image or image.field] += 1
            size = header_size(image.data)
            self.sizes += [size] if size else []
        for member in sample.members:
            if member is not image:
                self._add_member(member, size, of_table=sample.image is not None)

    def _add_member(self, member: Member, size: tuple[int, int] | None, *, of_table: bool) -> None:
        name, text = member.field, text_of(member.data)
        if is_map(name if not of_table else f"{name}.png", member.data):
            self.maps.setdefault(name, Maps(name)).add(member.data, size)
        elif (vector := _vector(member.data)) is not None:
            self.values(name).add(vector)
        elif looks_like_image(member.data):
            self.unknown.setdefault(name, "an image")
        elif text is None:
            self.unknown.setdefault(name, "binary data")
        else:
            prefix = "" if of_table and name == "json" else name
            if self.samples <= SEARCHED:
                for found in hidden_originals(text, lambda: size, name=name):
                    where = ".".join(part for part in (prefix, found.key) if part) or name
                    self.leads.setdefault(where, found.what)
            self.add_labels(_parsed(text), prefix)

    def add_labels(self, value: Any, prefix: str) -> None:
        """Count the values of a JSON member or text."""
        for name, inner in flattened(prefix, value):
            if name in self.fields or len(self.fields) < MOST_FIELDS:
                self.values(name).add(inner)
            else:
                self.passed_by[name] += 1

    def values(self, name: str) -> Values:
        """The values of a field."""
        return self.fields.setdefault(name, Values(name))


def survey(
    store: Store, shards: Sequence[ShardRef], *, samples: int, labels: Iterable[Mapping[str, Any]] | None = None
) -> Survey:
    """Look at some samples of a dataset's shards.

    Args:
        store: where the shards lie.
        shards: all of them.
        samples: how many samples are read at most, spread over `SHARDS` shards.
        labels: what the `json` member of every sample holds, where whoever asks knows it; its values count instead.

    Raises:
        InputError: a shard is damaged, or no sample was found.
        StoreError, TransientError: the store failed.
    """
    chosen = spread(shards, SHARDS)
    made = Survey(complete=len(chosen) == len(shards))
    for ref in chosen:
        with TemporaryDirectory(prefix="mtlue-survey-") as folder:
            local = Path(folder, "shard")
            store.get(ref.name, local, etag=ref.etag)
            _look_into(local, ref.name, made, -(-samples // len(chosen)))
    if not made.samples:
        raise InputError(f"{store.url} has no sample in {chosen[0].name}; name shards that have some")
    if labels is not None:
        made.fields = {name: values for name, values in made.fields.items() if not name.startswith("json.")}
        made.whole = True
        for each in labels:
            made.add_labels(dict(each), "json")
    return made


def spread(shards: Sequence[ShardRef], count: int) -> list[ShardRef]:
    """At most `count` of the shards, evenly spread, the first and the last among them."""
    if len(shards) <= count:
        return list(shards)
    return [shards[round(place * (len(shards) - 1) / (count - 1))] for place in range(count)]


def _look_into(path: Path, name: str, made: Survey, limit: int) -> None:
    layout, read = Layout(), 0
    if name.lower().endswith(".parquet"):
        made.columns = columns_of(path, name)
        made.class_names = made.columns.class_names
        layout = Layout(image=made.columns.image, members=dict.fromkeys(made.columns.nested, "drop"))
    try:
        for found in read_samples(path, name, layout):
            if isinstance(found, Quarantined):
                made.left_out.append(found)
            else:
                made.add(found)
                read += 1
            if read >= limit:
                made.complete = False
                return
    except RefusedInputError as error:
        raise error.at(shard=name) from None


def _image_of(sample: Sample) -> Member | None:
    """The member that is most likely the image to protect."""
    if sample.image is not None:
        return next((member for member in sample.members if member.field == sample.image), None)
    images = [member for member in sample.members if image_format(member.data) is not None]

    def rank(member: Member) -> tuple[bool, bool, bool]:
        name = member.field.lower()
        return any(word in name for word in LABEL_WORDS), "." in name, not name.endswith(("jpg", "jpeg", "webp"))

    return min(images, key=rank, default=None)


def _vector(data: bytes) -> Any:
    """The number or list in an npy member of at most one axis; None for anything else."""
    if not data.startswith(b"\x93NUMPY"):
        return None
    import io

    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None
    return array.tolist() if array.ndim <= 1 else None


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()
    return value if isinstance(value, dict | list) else text.strip()
