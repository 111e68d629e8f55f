"""Which member of a sample is the image, and under which names its members are published."""

from __future__ import annotations

from schemas.config import Layout
from schemas.errors import RefusedInputError, SampleError
from stages.io.images.formats import looks_like_image
from stages.io.shards.hidden import hidden_original
from stages.io.shards.sample import Member, Sample, text_of


def image_member(sample: Sample, dataset: Layout) -> Member:
    """The member that is to be protected, after the check that no other member may be the unprotected original.

    Members named in `dataset.members` are as declared and are not looked into (a mask is an image on purpose).

    Raises:
        RefusedInputError: two alternatives of `dataset.image` in one sample, or an undeclared member that is an image,
            that is neither text nor JSON, or that is text which holds an image or leads to one. The message names key
            and field; the caller adds the shard.
        SampleError: `no-image`, `empty-image`.
    """
    fields = (sample.image,) if sample.image is not None else dataset.image_fields
    images = [member for member in sample.members if member.field in fields]
    if len(images) > 1:
        raise RefusedInputError(
            f"members {', '.join(member.field for member in images)} are all alternatives of dataset.image "
            f"({dataset.image!r}); name the one to protect there, and declare the others `keep` or `drop` under "
            "dataset.members",
            key=sample.key,
        )
    for member in sample.members:
        if member.field not in fields and member.field not in dataset.members:
            _refuse_undeclared(sample.key, member, dataset)
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


def _refuse_undeclared(key: str, member: Member, dataset: Layout) -> None:
    text = text_of(member.data)
    if looks_like_image(member.data):
        found = "is an image that nobody declared; it may be the unprotected original"
    elif text is None:
        found = "is undeclared binary, neither text nor JSON; it may hold the unprotected original"
    elif hidden := hidden_original(text, frozenset(dataset.members)):
        found = f"holds {hidden}, and nobody declared it"
    else:
        return
    raise RefusedInputError(
        f"member {member.field!r} {found}: declare it `keep` or `drop` under dataset.members "
        "(or name it in dataset.image, if it is the image to protect)",
        key=key,
    )


def published_field(field: str, encoding: str) -> str:
    """Name under which the image of a field is published: the ending becomes that of its new encoding.

    >>> published_field("jpg", "png"), published_field("left.jpg", "png")
    ('png', 'left.png')
    """
    head, dot, _ = field.rpartition(".")
    return f"{head}{dot}{encoding}"


def published_members(sample: Sample, dataset: Layout, image: bytes, extension: str) -> list[tuple[str, bytes]]:
    """Names and bytes that are published for a sample, in the original order.

    The image is replaced by `image` and renamed (`published_field`), dropped members are left
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
            published.append((f"{sample.key}.{member.field}", member.data))
    return published


def published_layout(layout: Layout, encoding: str) -> Layout:
    """How a published sample is laid out: the image has the ending of its new encoding, the rest is as declared."""
    fields = [published_field(field, encoding) for field in layout.image_fields]
    return layout.model_copy(update={"image": ";".join(dict.fromkeys(fields))})
