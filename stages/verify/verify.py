"""Verify: one published shard is read again and checked against its manifest, and against its input if known."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.config import Layout
from schemas.errors import SampleError, ValidationError
from schemas.plans import ProtectPlan
from schemas.records import ManifestShard, Quarantined, ShardRef
from stages.io.images.codecs import decode_image
from stages.io.images.formats import looks_like_image
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store
from stages.protect.validate import Measured, validate_shard


def verify_shard(
    output: Store, shard: ManifestShard, source: Store | None, ref: ShardRef | None, plan: ProtectPlan | None
) -> tuple[int, Measured | None]:
    """Check one published shard from its bytes.

    Returns:
        (samples, what the comparison with the input measured, None without an input).

    Raises:
        ValidationError: size, checksum, samples or pixels are not what they should be.
    """
    with TemporaryDirectory(prefix="mtlue-verify-") as directory:
        path = Path(directory, "protected.tar")
        output.get(shard.name, path)
        size, digest = path.stat().st_size, file_sha256(path)
        if size != shard.bytes or digest != shard.sha256:
            raise ValidationError(
                f"shard {shard.name}: {size} bytes with SHA-256 {digest[:16]}…, the manifest says {shard.bytes} and "
                f"{shard.sha256[:16]}…; publish it again"
            )
        if source is None or ref is None or plan is None:
            return _count(path, shard), None
        original = Path(directory, "input")
        source.get(ref.name, original)
        measured = validate_shard(
            original,
            ref.name,
            path,
            plan.layout,
            epsilon=plan.epsilon,
            encoding=plan.encoding,
        )
        if measured.samples != shard.samples:
            raise ValidationError(f"shard {shard.name}: {measured.samples} samples, the manifest says {shard.samples}")
        return measured.samples, measured


def _count(path: Path, shard: ManifestShard) -> int:
    samples = 0
    for found in read_samples(path, shard.name, Layout()):
        if isinstance(found, Quarantined):
            raise ValidationError(f"shard {shard.name}: sample {found.key!r}: {found.message}")
        _decode_images(found, shard)
        samples += 1
    if samples != shard.samples:
        raise ValidationError(f"shard {shard.name}: {samples} samples, the manifest says {shard.samples}")
    return samples


def _decode_images(sample: Sample, shard: ManifestShard) -> None:
    images = [member for member in sample.members if looks_like_image(member.data)]
    if not images:
        raise ValidationError(f"shard {shard.name}: sample {sample.key!r} has no image")
    for member in images:
        try:
            decode_image(member.data, max_pixels=2**31)
        except SampleError as error:
            raise ValidationError(
                f"shard {shard.name}: sample {sample.key!r}: member {member.field!r}: {error.message}"
            ) from None
