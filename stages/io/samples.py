"""Samples: which member is the image, which is published, and how a label is found in the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.config import Dataset
from schemas.errors import InputError, RefusedInputError, SampleError
from schemas.records import Quarantined
from schemas.tasks import Task
from stages.io.formats import looks_like_image


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a sample."""

    field: str
    """What follows the first dot of the basename: `jpg`, `json`, `seg.png`."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample as it is stored; nothing in it was decoded."""

    key: str
    """Path up to the first dot of the basename, directories included."""
    members: tuple[Member, ...]
    """In the order stored."""
    image: str | None = None
    """Field of the image where the reader knows it (a Parquet column); None: one of `dataset.image`."""


def read_samples(path: Path, name: str, dataset: Dataset) -> Iterator[Sample | Quarantined]:
    """Stream the samples of one local shard, in their order and in constant memory.

    Args:
        path: the shard on the local disk.
        name: the shard's name for messages; its ending (`.tar`, `.parquet`) chooses the reader.
        dataset: how a sample is laid out.

    Raises:
        InputError: the shard is damaged, or neither tar nor Parquet.
        RefusedInputError: a Parquet table without the image column, or one that must not be processed as it is.
    """
    # The readers build the records of this file, so it cannot import them while it is being imported itself.
    from stages.io.parquet import read_parquet
    from stages.io.tar import read_tar

    if name.lower().endswith(".tar"):
        return read_tar(path, name)
    if name.lower().endswith(".parquet"):
        return read_parquet(path, name, dataset)
    raise InputError(f"shard {name}: only .tar and .parquet can be read; convert it, or leave it out of dataset.shards")


def image_member(sample: Sample, dataset: Dataset) -> Member:
    """The member that is to be protected, after the check that no other member may be the unprotected original.

    Members named in `dataset.members` are as declared and are not looked into (a mask is an image on purpose).

    Raises:
        RefusedInputError: two alternatives of `dataset.image` in one sample, or an undeclared member that is an image
            or neither text nor JSON. The message names key and field; the caller adds the shard.
        SampleError: `no-image`, `empty-image`.
    """
    fields = (sample.image,) if sample.image is not None else dataset.image_fields
    images = [member for member in sample.members if member.field in fields]
    if len(images) > 1:
        raise RefusedInputError(
            f"sample {sample.key!r}: members {', '.join(member.field for member in images)} are all alternatives of "
            f"dataset.image ({dataset.image!r}); name the one to protect there, and declare the others `keep` or "
            "`drop` under dataset.members"
        )
    for member in sample.members:
        if member.field not in fields and member.field not in dataset.members:
            _refuse_undeclared(sample.key, member)
    if not images:
        found = ", ".join(member.field for member in sample.members) or "no member"
        raise SampleError(
            "no-image",
            f"sample {sample.key!r}: none of dataset.image ({dataset.image!r}) is there, only {found}; "
            "correct dataset.image, or add the image",
        )
    if not images[0].data:
        raise SampleError(
            "empty-image", f"sample {sample.key!r}: member {images[0].field!r} has 0 bytes; add the image"
        )
    return images[0]


def _refuse_undeclared(key: str, member: Member) -> None:
    if looks_like_image(member.data):
        found = "is an image that nobody declared; it may be the unprotected original"
    elif _text(member.data) is None:
        found = "is undeclared binary, neither text nor JSON; it may hold the unprotected original"
    else:
        return
    raise RefusedInputError(
        f"sample {key!r}: member {member.field!r} {found}: declare it `keep` or `drop` under dataset.members "
        "(or name it in dataset.image, if it is the image to protect)"
    )


def published_members(sample: Sample, dataset: Dataset, image: bytes, extension: str) -> list[tuple[str, bytes]]:
    """Names and bytes that are published for a sample, in the original order.

    The image is replaced by `image` and renamed (`jpg` → `png`, `left.jpg` → `left.png`), dropped members are left
    out, every other member stays byte for byte. It calls `image_member` itself, so nothing undeclared gets through
    even when the caller forgot to.

    Args:
        image: the protected image, encoded.
        extension: ending of the encoded image, without a dot.

    Raises:
        RefusedInputError: as `image_member`; or the renamed image has the name of another published member
            (upper and lower case count as the same, as readers of WebDataset lower a field's case).
        SampleError: as `image_member`.
    """
    original = image_member(sample, dataset)
    head, dot, _ = original.field.rpartition(".")
    renamed = f"{head}{dot}{extension}"
    published = []
    for member in sample.members:
        if member is original:
            published.append((f"{sample.key}.{renamed}", image))
        elif dataset.members.get(member.field) != "drop":
            if member.field.lower() == renamed.lower():
                raise RefusedInputError(
                    f"sample {sample.key!r}: image {original.field!r} is published as {renamed!r}, which is the name "
                    f"of another member; drop {member.field!r} under dataset.members, or choose another "
                    "protect.encoding"
                )
            published.append((f"{sample.key}.{member.field}", member.data))
    return published


def labels_of(sample: Sample, tasks: Sequence[Task]) -> list[int]:
    """The label of each task: a class index in 0..C-1, or `MISSING`.

    The longest member name that begins `task.field` is the member, the rest is the path into its JSON; a field that
    begins with no member's name is looked up in the member `json` (so a Parquet column is found by its own name).
    A missing member, a missing key, null and NaN are `MISSING`.

    Raises:
        SampleError: `label-out-of-range`; `label-unreadable` for broken JSON, doubled keys, a path into something
            that is no object, or a value that is no class.
    """
    parsed: dict[str, Any] = {}
    return [_label(sample, task, parsed) for task in tasks]


def _label(sample: Sample, task: Task, parsed: dict[str, Any]) -> int:
    members = {member.field: member for member in sample.members}
    parts = task.field.split(".")
    heads = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    name = next((head for head in heads if head in members), None)
    path = parts[name.count(".") + 1 :] if name is not None else parts
    name = name if name is not None else "json"
    try:
        if name in members and name not in parsed:
            parsed[name] = _parse(members[name])
        return task.label(_walk(parsed.get(name), path, task))
    except SampleError as error:
        raise SampleError(error.reason, f"sample {sample.key!r}: {error.message}") from None


def _walk(value: Any, path: Sequence[str], task: Task) -> Any:
    """Follow `path` into JSON; a key that has dots itself is preferred to a path of keys."""
    while path and value is not None:
        if not isinstance(value, dict):
            raise SampleError(
                "label-unreadable",
                f"task {task.name!r}: field {task.field!r} leads into {value!r}, which is no JSON object; "
                "correct the task's field",
            )
        length = next((size for size in range(len(path), 0, -1) if ".".join(path[:size]) in value), 0)
        if not length:
            return None
        value, path = value[".".join(path[:length])], path[length:]
    return value


def _is_json(field: str) -> bool:
    return field.rpartition(".")[2].lower() == "json"


def _parse(member: Member) -> Any:
    """The value of a JSON member, or the stripped text of any other."""
    text = _text(member.data)
    if text is None:
        raise SampleError("label-unreadable", f"member {member.field!r} is no UTF-8 text; correct the task's field")
    if not _is_json(member.field):
        return text.strip()
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise SampleError("label-unreadable", f"member {member.field!r}: JSON nested too deeply") from None
    except ValueError as error:
        raise SampleError(
            "label-unreadable", f"member {member.field!r} is broken JSON ({error}); write it again"
        ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"the key {doubled[0]!r} stands twice in one object")
    return found


def _text(data: bytes) -> str | None:
    try:
        return None if b"\0" in data else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def known_fields(sample: Sample) -> list[str]:
    """Every field that a task could name, for messages: `json.shape`, `cls`; images and other binary are left out."""
    fields: list[str] = []
    for member in sample.members:
        try:
            value = _parse(member)
        except SampleError:
            if _is_json(member.field):
                fields.append(member.field)
            continue
        fields.extend(_paths(member.field, value))
    return fields


def _paths(prefix: str, value: Any) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [prefix]
    return [path for key, inner in value.items() for path in _paths(f"{prefix}.{key}", inner)]
