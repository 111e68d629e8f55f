"""Where the raw data lies, how its store is reached, and how a sample is laid out."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.model import Model

Patterns = (
    Annotated[str, Field(min_length=1)] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
)
"""Shards: a URL, brace range, glob or prefix, or a list of them."""


class Storage(Model):
    """How an object store is reached. Credentials come from the environment only."""

    endpoint_url: str | None = None
    """Endpoint of an S3-compatible store; used for every s3:// URL of the configuration. None: the provider's own."""

    anon: bool = False
    """Read the dataset without credentials (public buckets). Never applied to `output` and `work`."""


def _json_member(name: str) -> str:
    """The JSON member that a dotted name leads into; the name itself where it leads into none.

    >>> _json_member("json.meta.exif"), _json_member("seg.png")
    ('json', 'seg.png')
    """
    head, found, _ = f".{name}.".partition(".json.")
    return f"{head}.json".lstrip(".") if found else name


class Layout(Model):
    """How a sample is laid out: which member is the image, and what becomes of the others."""

    image: str = "jpg;jpeg;png;webp"
    """Member (or Parquet column) to protect; alternatives separated by `;`, exactly one of them in each sample."""

    members: dict[str, Literal["keep", "drop"]] = Field(default_factory=dict)
    """What happens to every other member. Undeclared: an image and unknown bytes are refused; text is kept. Text and
    JSON, kept or undeclared, are refused when they hold an image or lead to one: base64, bytes or pixels as numbers, an
    embedding, a link, `url`, `sha256`, `exif`. An image, array or archive that is kept is refused when it shows the
    original. A dotted name means a key in JSON or a field of a Parquet struct: `json.imageData: drop`,
    `json.url: keep`. `txt.*: keep` means all of a member, whatever it holds."""

    max_pixels: int = Field(default=64 * 2**20, gt=0)
    """Largest H·W that is decoded, in pixels; a larger image is quarantined as a decompression bomb."""

    @property
    def image_fields(self) -> tuple[str, ...]:
        """The alternatives of `image`."""
        return tuple(field.strip().lstrip(".") for field in self.image.split(";") if field.strip())

    @field_validator("members", mode="before")
    @classmethod
    def _names_of_members(cls, members: Any) -> Any:
        """A name that no member can have would silently drop nothing."""
        if not isinstance(members, dict):
            return members
        for name in members:
            inner = name.removesuffix(".*") if isinstance(name, str) else ""
            if isinstance(name, str) and (not inner.strip() or inner != inner.strip() or "*" in inner):
                raise ValueError(
                    f"{name!r} names no member; write each by its exact field, as `txt` or `seg.png` (only "
                    "`txt.*: keep` has a star: all that a text says)"
                )
        found = {name.lstrip(".") if isinstance(name, str) else name: what for name, what in members.items()}
        if len(found) < len(members):
            raise ValueError(f"a member is there twice, with and without a dot before it: {', '.join(members)}")
        return found

    @field_validator("members")
    @classmethod
    def _keys_of_kept_members(cls, members: dict[str, Literal["keep", "drop"]]) -> dict[str, Literal["keep", "drop"]]:
        for name, what in members.items():
            if name.endswith(".*") and what == "drop":
                raise ValueError(f"`{name}: drop` means the whole member; write `{name[:-2]}: drop`")
            whole = _json_member(name)
            if whole != name and members.get(whole) == "drop":
                raise ValueError(f"{name!r} is a key of {whole!r}, which is dropped as a whole; take one of them out")
        return members

    @field_validator("image")
    @classmethod
    def _some_image(cls, value: str) -> str:
        if not any(part.strip() for part in value.split(";")):
            raise ValueError(f"image names no member; found {value!r}; write for example jpg;png")
        if re.search(r"[,*?|]", value):
            raise ValueError(f"image names exact fields, with `;` between alternatives; found {value!r}; write jpg;png")
        return value


class Dataset(Layout):
    """Where the raw data lies and how a sample is laid out."""

    shards: Patterns
    """URL, brace range, glob or prefix (or a list of them); .tar or .parquet."""

    test_shards: Patterns | None = None
    """Clean held-out data, read by the audit only; never protected, never published. None: an audit holds out a fifth
    of `shards` from its victims, by the hash of the samples' keys, and its report says so."""

    storage: Storage = Storage()
    """How the dataset's store is reached."""

    @property
    def layout(self) -> Layout:
        """The part that decides how a sample is read; where the data lies decides nothing about it."""
        return Layout(image=self.image, members=self.members, max_pixels=self.max_pixels)


def dropped_key(field: str, layout: Layout) -> str | None:
    """The dropped key of JSON, or field of a struct, that a task's field is, lies in or contains."""
    for name, what in layout.members.items():
        if what == "drop" and "." in name:
            pairs = [(read, key) for read in (field, f"json.{field}") for key in (name, f"json.{name}")]
            if any(f"{read}.".startswith(f"{key}.") or f"{key}.".startswith(f"{read}.") for read, key in pairs):
                return name
    return None
