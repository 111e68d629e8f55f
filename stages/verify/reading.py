"""Reading as a user does: webdataset's own reader must find in a published shard what the strict reader finds."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from schemas.config import Dataset
from schemas.errors import ValidationError
from schemas.records import Quarantined
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.protect.validate import refuse_strays

_OWN_FIELDS = {"__key__", "__url__"}
"""What webdataset adds to the members of a sample."""


def check_as_user_reads(path: Path, name: str) -> None:
    """Compare, sample by sample, what both readers find in a published shard; constant memory.

    webdataset (1.0) takes the members of one key that follow each other for a sample and lowers the case of their
    fields. It says nothing of what it passes by: a published shard has no member without a key or a field, and none
    below a folder `__…__` at the top. Keys, order, fields and bytes must agree all the same.

    Args:
        path: the shard on the local disk.
        name: its name below the public place.

    Raises:
        InputError: the shard is damaged.
        ValidationError: a user would not find what was published; names shard, sample, field and what to do.
    """
    with path.open("rb") as file:
        read = _user_samples(file, name)
        for sample in read_samples(path, name, Dataset(shards=name), refuse_strays(name)):
            if isinstance(sample, Quarantined):
                raise ValidationError(sample.problem, shard=name, key=sample.key)
            try:
                _compare(_as_user_sees(sample), sample.key, next(read, None))
            except ValidationError as error:
                raise error.at(shard=name, key=sample.key) from None
        more = next(read, None)
        if more is not None:
            problem = "webdataset finds this sample, which is not in the shard; publish the shard again"
            raise ValidationError(problem, shard=name, key=more["__key__"])


def _user_samples(file: IO[bytes], name: str) -> Iterator[dict[str, Any]]:
    """Samples as `webdataset.WebDataset` gives them before it decodes anything; it opens no address by itself here."""
    # It takes seconds, and torch: only who checks a shard pays for it.
    from webdataset.tariterators import group_by_keys, tar_file_expander

    try:
        yield from group_by_keys(tar_file_expander([{"url": name, "stream": file}]))
    except (tarfile.TarError, ValueError) as error:
        found = error.args[0]  # it appends the shard's stream and address
        raise ValidationError(f"webdataset cannot read it ({found}); rename it in the input", shard=name) from None


def _as_user_sees(sample: Sample) -> dict[str, bytes]:
    """Field in lower case → bytes, in the order stored."""
    members: dict[str, bytes] = {}
    for member in sample.members:
        field = member.field.lower()
        if field in members:
            raise ValidationError(
                f"member {member.field!r} differs from another only in the case of its name, which webdataset lowers; "
                "rename one of them in the input, or declare it `drop` under dataset.members"
            )
        members[field] = member.data
    return members


def _compare(members: dict[str, bytes], key: str, found: dict[str, Any] | None) -> None:
    if found is None or found["__key__"] != key:
        there = "the end of the shard" if found is None else f"sample {found['__key__']!r}"
        raise ValidationError(
            f"webdataset passes it by and finds {there} in its place; rename its member `__bad__` in the input, if it "
            "has one, and publish the shard again"
        )
    fields = [field for field in found if field not in _OWN_FIELDS]
    if fields != list(members):
        raise ValidationError(
            f"webdataset finds the fields {fields}, the shard has {list(members)}; rename the members in the input"
        )
    for field, data in members.items():
        if found[field] != data:
            raise ValidationError(
                f"member {field!r}: webdataset reads {len(found[field])} bytes, and other ones than the {len(data)} of "
                "the shard; publish it again"
            )
