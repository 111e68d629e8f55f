"""Verify: a published prefix is read again and checked against its manifest, and against its input if known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError as PydanticError

from pipeline.executor import Executor, Job
from pipeline.places import MANIFEST
from pipeline.progress import Reporter
from schemas.config import Compute, Config, Dataset
from schemas.errors import InputError, SampleError, ValidationError
from schemas.records import Manifest, ManifestShard, Quarantined, ShardRef
from stages.ingest import file_sha256
from stages.io.codecs import decode_image
from stages.io.formats import looks_like_image
from stages.io.names import key_hash
from stages.io.samples import Sample, read_samples
from stages.io.stores import Store
from stages.validate import Measured, validate_shard


@dataclass
class Verified:
    """What `verify` found."""

    shards: int = 0
    samples: int = 0
    max_delta: int | None = None
    """Largest |Δ| in levels of 255; None when the input is not known."""
    psnr_mean: float | None = None
    problems: list[str] = field(default_factory=list)


def read_manifest(output: Store, name: str = MANIFEST) -> Manifest:
    """The manifest of a published prefix.

    Raises:
        InputError: there is none, or it is not one of ours.
    """
    if output.stat(name) is None:
        raise InputError(f"{output.join(name)}: no manifest; is this the `output` of a finished run?")
    try:
        return Manifest.model_validate_json(output.read(name))
    except PydanticError as error:
        raise InputError(f"{output.join(name)}: not a manifest of mtlue ({error.error_count()} problems)") from None


def verify_shard(
    output: Store, shard: ManifestShard, source: Store | None, ref: ShardRef | None, config: Config | None
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
        if source is None or ref is None or config is None:
            return _count(path, shard), None
        original = Path(directory, "input")
        source.get(ref.name, original)
        measured = validate_shard(
            original,
            ref.name,
            path,
            config.dataset,
            epsilon=config.protection.epsilon,
            encoding=config.protect.encoding,
        )
        if measured.samples != shard.samples:
            raise ValidationError(f"shard {shard.name}: {measured.samples} samples, the manifest says {shard.samples}")
        return measured.samples, measured


def _count(path: Path, shard: ManifestShard) -> int:
    samples = 0
    for found in read_samples(path, shard.name, Dataset(shards=shard.name)):
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


def verify_prefix(
    output: Store,
    reporter: Reporter,
    compute: Compute,
    *,
    fraction: float = 1.0,
    config: Config | None = None,
    source: Store | None = None,
    shards: Sequence[ShardRef] = (),
) -> Verified:
    """Check a published prefix.

    Args:
        output: the prefix.
        fraction: share of the shards to read, chosen by the hash of their names; 1 reads all.
        config: with `source` and `shards`, the input that every pixel is compared with.

    Every problem is listed; nothing stops at the first.
    """
    manifest = read_manifest(output)
    result = Verified()
    there = {entry.name for entry in output.list()}
    listed = {shard.name for shard in manifest.shards}
    result.problems += [f"shard {name}: in the manifest, but not there" for name in sorted(listed - there)]
    result.problems += [
        f"{name}: a shard that the manifest does not list; nobody checked it: remove it"
        for name in sorted(there - listed)
        if name.endswith((".tar", ".parquet"))
    ]
    inputs = {ref.output_name: ref for ref in shards}
    if config is not None:
        result.problems += [f"shard {name}: no such input shard" for name in sorted(listed - inputs.keys())]
    present = sorted((s for s in manifest.shards if s.name in there), key=lambda shard: key_hash(shard.name))
    chosen = present[: max(1, round(fraction * len(present)))]
    jobs = [Job(shard.name, (output, shard, source, inputs.get(shard.name), config)) for shard in chosen]
    moments = None
    with Executor(compute) as executor, reporter.step("verify", len(jobs), "shards") as step:
        for outcome in executor.map(verify_shard, jobs):
            step.advance()
            if outcome.result is None:
                result.problems.append(str(outcome.error))
                continue
            samples, measured = outcome.result
            result.shards += 1
            result.samples += samples
            if measured is not None:
                result.max_delta = max(result.max_delta or 0, measured.max_delta)
                moments = measured.psnr if moments is None else moments.merge(measured.psnr)
    result.psnr_mean = moments.mean if moments is not None else None
    return result
