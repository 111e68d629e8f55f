"""Verify: one published shard is read again and checked against its manifest, and against its input if known."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.config import Layout
from schemas.errors import SampleError, ValidationError
from schemas.plans import ProtectPlan
from schemas.records import ManifestShard, Quarantined, ShardRef
from stages.io.images.decoding import decode_image
from stages.io.images.formats import header_size, looks_like_image
from stages.io.shards.layout import hidden_in
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store
from stages.protect.validate import Measured, refuse_strays, validate_shard
from stages.verify.reading import check_as_user_reads


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
        path = Path(directory, "protected.tar")
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
