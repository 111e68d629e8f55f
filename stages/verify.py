"""Verify: a published shard is read again, as a user reads it, and checked against its manifest and its input."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from pyarrow.parquet import read_schema

from schemas.dataset import Dataset, Layout
from schemas.errors import SampleError, ValidationError
from schemas.plans import ProtectPlan
from schemas.records import ManifestShard, Quarantined, ShardRef
from stages.io.images.decoding import decode_image
from stages.io.images.formats import header_size, looks_like_image
from stages.io.shards.layout import hidden_in
from stages.io.shards.parquet_metadata import IMAGE_TYPE, LABEL_FEATURES, features_in, stored_table
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.io.shards.writing import local_name
from stages.io.store.objects import file_sha256
from stages.io.store.store import Store
from stages.protect.reread import refuse_strays
from stages.protect.validate import Measured, validate_shard


def verify_shard(
    output: Store, shard: ManifestShard, source: Store | None, ref: ShardRef | None, plan: ProtectPlan | None
) -> tuple[int, Measured | None]:
    """Check one published shard from its bytes.

    Returns:
        (samples, what the comparison with the input measured, None without an input).

    Raises:
        InputError: the shard is damaged.
        ValidationError: size, checksum, samples, pixels, or what webdataset reads are not what they should be.
    """
    with TemporaryDirectory(prefix="mtlue-verify-") as directory:
        path = Path(directory, local_name("protected", Path(shard.name)))
        output.get(shard.name, path)
        size, digest = path.stat().st_size, file_sha256(path)
        if size != shard.bytes or digest != shard.sha256:
            raise ValidationError(
                f"{size} bytes with SHA-256 {digest[:16]}…, the manifest says {shard.bytes} and "
                f"{shard.sha256[:16]}…; publish it again",
                shard=shard.name,
            )
        check_as_user_reads(path, shard.name)
        if source is None or ref is None or plan is None:
            return _count(path, shard, plan), None
        original = Path(directory, "input")
        source.get(ref.name, original, etag=ref.etag)
        measured = validate_shard(
            original,
            ref.name,
            path,
            plan.layout,
            epsilon=plan.epsilon,
            encoding=plan.encoding,
            tasks=plan.tasks,
        )
        if measured.samples != shard.samples:
            raise _wrong_count(measured.samples, shard)
        return measured.samples, measured


def _count(path: Path, shard: ManifestShard, plan: ProtectPlan | None) -> int:
    """Samples of a published shard, each decoded and looked into; what a plan declares is passed over."""
    samples = 0
    for found in read_samples(path, shard.name, Layout(), refuse_strays(shard.name)):
        if isinstance(found, Quarantined):
            raise ValidationError(found.problem, shard=shard.name, key=found.key)
        _decode_images(found, shard)
        _look_into(found, shard, plan)
        samples += 1
    if samples != shard.samples:
        raise _wrong_count(samples, shard)
    return samples


def _look_into(sample: Sample, shard: ManifestShard, plan: ProtectPlan | None) -> None:
    """Refuse text and JSON that may be the original, as a run does; images and binary members were declared."""
    layout, tasks = (plan.layout, plan.tasks) if plan is not None else (Layout(), [])
    sizes = [header_size(member.data) for member in sample.members if looks_like_image(member.data)]
    for member in sample.members:
        problem = hidden_in(sample, member, layout, tasks, lambda: sizes[0])
        if problem is not None:
            hint = "" if plan is not None else " (what a configuration keeps on purpose is known with --config)"
            raise ValidationError(f"member {member.field!r} {problem}{hint}", shard=shard.name, key=sample.key)


def _wrong_count(samples: int, shard: ManifestShard) -> ValidationError:
    return ValidationError(f"{samples} samples, the manifest says {shard.samples}", shard=shard.name)


def _decode_images(sample: Sample, shard: ManifestShard) -> None:
    images = [member for member in sample.members if looks_like_image(member.data)]
    if not images:
        raise ValidationError(f"sample {sample.key!r} has no image", shard=shard.name)
    for member in images:
        try:
            decode_image(member.data, max_pixels=2**31)
        except SampleError as error:
            problem = f"member {member.field!r}: {error.problem}"
            raise ValidationError(problem, shard=shard.name, key=sample.key) from None


_OWN_FIELDS = {"__key__", "__url__"}
"""What webdataset adds to the members of a sample."""


def check_as_user_reads(path: Path, name: str) -> None:
    """Compare what our reader and a user's find in a published shard; constant memory.

    A table is read by `datasets` through pyarrow, as we do: what may differ are the types that it makes of the columns.
    A tar is compared sample by sample.

    webdataset (1.0) takes the members of one key that follow each other for a sample and lowers the case of their
    fields. It is silent about what it ignores. So a published shard has no member without a key or a field, and none
    below a folder `__…__` at the top. Keys, order, fields and bytes must agree all the same.

    Args:
        path: the shard on the local disk.
        name: its name below the public place.

    Raises:
        InputError: the shard is damaged.
        ValidationError: a user would not find what was published; names shard, sample, field and what to do.
    """
    if name.endswith(".parquet"):
        _check_table(path, name)
        return
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


def _check_table(path: Path, name: str) -> None:
    """Read every row, and see that `datasets` finds images, and labels as the features say."""
    for found in read_samples(path, name, Layout(), refuse_strays(name)):
        if isinstance(found, Quarantined):
            raise ValidationError(found.problem, shard=name, key=found.key)
    schema = read_schema(path)
    table, features = stored_table(schema, name), features_in(schema)
    if table is None:
        raise ValidationError("the metadata `mtlue` is missing in the Parquet file; publish it again", shard=name)
    expected = {
        table.image: "Image",
        **{column: LABEL_FEATURES.get(schema.field(column).type) for column in table.labels},
    }
    for column, word in expected.items():
        stored = word != "Image" or schema.field(column).type == IMAGE_TYPE
        if features.get(column, {}).get("_type") != word or not stored:
            problem = f"`datasets` does not read column {column!r} as {word}; publish the shard again"
            raise ValidationError(problem, shard=name)


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
