"""Which member of a sample is the image, and under which names its members are published."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from schemas.dataset import Layout
from schemas.errors import RefusedInputError, SampleError
from schemas.plans import PublishPlan
from schemas.records import ShardProfile
from schemas.tasks import Task
from stages.io.images.formats import header_size, looks_like_image
from stages.io.shards.declared import EVERYTHING, passed_over, published_data
from stages.io.shards.originals.hidden import SVG, hidden_originals
from stages.io.shards.originals.numbers import Size
from stages.io.shards.sample import Member, Sample, text_in_another_encoding, text_of


def image_member(sample: Sample, dataset: Layout, tasks: Sequence[Task] = ()) -> Member:
    """The member that is to be protected, after the check that no other member may be the unprotected original.

    A member that is declared `keep` may be an image or binary (a mask is one on purpose). Text and JSON are looked into
    all the same, apart from the keys that are declared by name and from what a task reads.

    Raises:
        RefusedInputError: two alternatives of `dataset.image` in one sample; or an undeclared member that is an image,
            or neither text nor JSON, or text with an image or a way to one. The message names key and field; the caller
            adds the shard.
        SampleError: `no-image`, `empty-image`.
    """
    images = images_among(sample, dataset)
    if len(images) > 1:
        raise RefusedInputError(
            f"members {', '.join(member.field for member in images)} are all alternatives of dataset.image "
            f"({dataset.image!r}); name the one to protect there, and declare the others `keep` or `drop` under "
            "dataset.members",
            key=sample.key,
        )
    sizes: list[Size | None] = []

    def size() -> Size | None:
        if not sizes:
            sizes.append(header_size(images[0].data) if images else None)
        return sizes[0]

    _refuse_dropped_labels(sample, dataset, tasks)
    for member in sample.members:
        if member not in images and dataset.members.get(member.field) != "drop":
            problem = _undeclared(member, dataset) or hidden_in(sample, member, dataset, tasks, size)
            if problem is not None:
                raise RefusedInputError(f"member {member.field!r} {problem}", key=sample.key)
    if not images:
        found = ", ".join(member.field for member in sample.members) or "no member"
        raise SampleError(
            "no-image",
            f"none of dataset.image ({dataset.image!r}) is there, only {found}; "
            "correct dataset.image, or add the image",
            key=sample.key,
        )
    if not images[0].data:
        raise SampleError("empty-image", f"member {images[0].field!r} has 0 bytes; add the image", key=sample.key)
    return images[0]


def _refuse_dropped_labels(sample: Sample, dataset: Layout, tasks: Sequence[Task]) -> None:
    """Refuse a row of a table whose columns are dropped all at once although a task reads one of them."""
    members = {member.field for member in sample.members}
    read = [task for task in tasks if task.member not in members]
    if sample.image is not None and dataset.members.get("json") == "drop" and read:
        raise RefusedInputError(
            f"`json: drop` under dataset.members takes away all columns, and task {read[0].name!r} reads "
            f"{read[0].field!r}: published images would have no label; write `json.json: drop` for a column `json`, or "
            "name the columns to drop",
            key=sample.key,
        )


def images_among(sample: Sample, dataset: Layout) -> list[Member]:
    """The members that `dataset.image` names, or the image of a table's row; there should be one."""
    fields = (sample.image,) if sample.image is not None else dataset.image_fields
    return [member for member in sample.members if member.field in fields]


def _undeclared(member: Member, dataset: Layout) -> str | None:
    """What is wrong with a member that is no text, if nobody has declared it."""
    if member.field in dataset.members or f"{member.field}.{EVERYTHING}" in dataset.members:
        return None
    if looks_like_image(member.data):
        found = "is an image that nobody declared; it may be the unprotected original"
    elif text_of(member.data) is None:
        found = "is undeclared binary, neither text nor JSON; it may hold the unprotected original"
    else:
        return None
    return (
        f"{found}: declare it `keep` or `drop` under dataset.members "
        "(or name it in dataset.image, if it is the image to protect)"
    )


def hidden_in(
    sample: Sample, member: Member, dataset: Layout, tasks: Sequence[Task], size: Callable[[], Size | None]
) -> str | None:
    """What a member of text or JSON holds that may be the original, and the line to write; None for anything else.

    Args:
        size: H and W of the sample's image.
    """
    text = text_of(member.data) or text_in_another_encoding(member.data)
    names = passed_over(sample, member, dataset, tasks)
    if text is None or EVERYTHING in names:
        return None
    drawing = member.field.lower().endswith("svg") and member.field in dataset.members  # an image on purpose
    name = "" if member.field in dataset.members else member.field
    found = next(
        (each for each in hidden_originals(text, size, names, name) if not (drawing and each.what == SVG)), None
    )
    if found is None or looks_like_image(member.data):
        return None
    where, line = f" under the key {found.key!r}" if found.key else "", f"{member.field}.{found.key or EVERYTHING}"
    if found.key and found.key != "json" and sample.image is not None and member.field == "json":
        line = found.key
    shown = line if re.fullmatch(r"[\w./-]+", line) else json.dumps(line, ensure_ascii=False)
    drop = shown if found.key else member.field
    return (
        f"holds {found.what}{where}: write `{drop}: drop` under dataset.members, or `{shown}: keep` if it is published "
        "on purpose"
    )


def published_field(field: str, encoding: str) -> str:
    """Name under which the image of a field is published: the ending becomes that of its new encoding.

    >>> published_field("jpg", "png"), published_field("left.jpg", "png")
    ('png', 'left.png')
    """
    head, dot, _ = field.rpartition(".")
    return f"{head}{dot}{encoding}"


def published_members(
    sample: Sample, dataset: Layout, image: bytes, extension: str, tasks: Sequence[Task] = ()
) -> list[tuple[str, bytes]]:
    """Names and bytes that are published for a sample, in the original order.

    The image is replaced by `image` and renamed (`published_field`). Dropped members are left out, and dropped keys are
    taken out of JSON; every other member stays byte for byte. It calls `image_member` itself, so nothing undeclared
    gets through even when the caller forgot to.

    Args:
        image: the protected image, encoded.
        extension: ending of the encoded image, without a dot.

    Raises:
        RefusedInputError: as `image_member`; or the renamed image has the name of another published member. Upper and
            lower case count as the same: readers of WebDataset lower a field's case.
        SampleError: as `image_member`.
    """
    original = image_member(sample, dataset, tasks)
    renamed = published_field(original.field, extension)
    published = []
    for member in sample.members:
        if member is original:
            published.append((f"{sample.key}.{renamed}", image))
        elif dataset.members.get(member.field) != "drop":
            if member.field.lower() == renamed.lower():
                raise RefusedInputError(
                    f"image {original.field!r} is published as {renamed!r}, which is the name of another member; "
                    f"drop {member.field!r} under dataset.members, or choose another protect.encoding",
                    key=sample.key,
                )
            published.append((f"{sample.key}.{member.field}", published_data(sample, member, dataset)))
    return published


def published_layout(layout: Layout, encoding: str) -> Layout:
    """How a published sample is laid out: the image has the ending of its new encoding, the rest is as declared."""
    fields = [published_field(field, encoding) for field in layout.image_fields]
    return layout.model_copy(update={"image": ";".join(dict.fromkeys(fields))})


def image_fields(plan: PublishPlan, profiles: Sequence[ShardProfile]) -> list[str]:
    """Member fields under which published images are found, each once."""
    if from_parquet(profiles):
        return [plan.encoding]
    encoding = plan.encoding
    return list(dict.fromkeys(published_field(field, encoding) for field in plan.layout.image_fields))


def label_place(task: Task, profiles: Sequence[ShardProfile]) -> tuple[str, tuple[str, ...]]:
    """Member of a published sample that holds a task's label, and the keys to follow inside it (none: plain text)."""
    if task.member != "json" and (from_parquet(profiles) or _only_in_json(task, profiles)):
        return "json", (task.member, *task.path)
    return task.member, task.path


def _only_in_json(task: Task, profiles: Sequence[ShardProfile]) -> bool:
    """Whether a field that names no member was found as a key of the member `json`."""
    seen = {field for profile in profiles for field in profile.fields}
    inside = f"json.{task.field}"
    return task.field not in seen and any(field == inside or field.startswith(f"{inside}.") for field in seen)


def from_parquet(profiles: Sequence[ShardProfile]) -> bool:
    """Whether the input is tables."""
    return bool(profiles) and all(profile.name.endswith(".parquet") for profile in profiles)
