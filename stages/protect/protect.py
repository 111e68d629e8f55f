"""Protect: one shard in, one protected shard out; checked from its final bytes before anything is published."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from schemas.config import Config
from schemas.errors import InputError, RefusedInputError, SampleError, ValidationError
from schemas.records import Quarantined, ShardRecord, ShardRef
from schemas.tasks import MISSING
from stages.ingest.reading import ReadSample, read_decoded
from stages.io.images.codecs import Pixels, encode_image
from stages.io.images.pixels import canonical_view, is_gray
from stages.io.shards.layout import published_members
from stages.io.shards.tar import TarWriter
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store
from stages.models.generator import Generator
from stages.protect.overlap import ahead
from stages.protect.perturb import add_perturbation
from stages.protect.validate import measure_change, validate_shard

BATCH_SAMPLES = 64
"""Images that go through the generator together."""

BATCH_PIXELS = 16 * 2**20
"""Pixels that a batch holds at most: memory does not grow with the size of the images."""


@dataclass
class _Written:
    """What was written to the tar so far."""

    samples: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    labelled: dict[str, int] = field(default_factory=dict)


def protect_shard(
    source: Store, ref: ShardRef, output: Store, config: Config, generator: Generator, identity: str
) -> ShardRecord:
    """Protect one shard and publish it; the caller writes the returned record to the ledger, last.

    Args:
        source: where the raw shard lies.
        ref: the shard.
        output: the public place.
        config: epsilon, encoding, members, what a bad sample does.
        generator: trained, in eval mode.
        identity: of this shard under this configuration and generator.

    Raises:
        InputError: the shard is damaged, or a bad sample under `on_error: fail`.
        ValidationError: what was written does not pass; nothing was published.
    """
    started = time.monotonic()
    with TemporaryDirectory(prefix="mtlue-protect-") as directory:
        local, protected = Path(directory, "input"), Path(directory, "protected.tar")
        source.get(ref.name, local)
        written = write_protected(local, ref.name, protected, config, generator)
        measured = validate_shard(
            local,
            ref.name,
            protected,
            config.dataset,
            epsilon=config.protection.epsilon,
            encoding=config.protect.encoding,
        )
        if measured.samples != written.samples:
            raise ValidationError(
                f"{written.samples} samples were written, {measured.samples} read again", shard=ref.name
            )
        record = ShardRecord(
            identity=identity,
            name=ref.output_name,
            source_sha256=file_sha256(local),
            sha256=file_sha256(protected),
            bytes=protected.stat().st_size,
            samples=measured.samples,
            labelled=written.labelled,
            max_delta=measured.max_delta,
            psnr=measured.psnr,
            delta=measured.delta,
            quarantined=written.quarantined,
            seconds=time.monotonic() - started,
        )
        output.put(protected, record.name)
    return record


def write_protected(path: Path, name: str, target: Path, config: Config, generator: Generator) -> _Written:
    """Write the protected twin of a local shard; decoding, generator and encoding overlap."""
    written = _Written(labelled={task.name: 0 for task in config.tasks})
    # Closed from the end to the start: an error at one end must not leave the other's thread behind.
    with (
        TarWriter(target) as tar,
        closing(ahead(_batches(path, name, config, written), depth=1)) as batches,
        closing(ahead(_encoded(batches, name, config, generator, written), depth=BATCH_SAMPLES)) as encoded,
    ):
        for members, sample in encoded:
            for member_name, data in members:
                tar.add(member_name, data)
            written.samples += 1
            for task, label in zip(config.tasks, sample.labels, strict=True):
                written.labelled[task.name] += label != MISSING
    written.quarantined.sort(key=lambda left_out: left_out.key)
    return written


def _batches(path: Path, name: str, config: Config, written: _Written) -> Iterator[list[ReadSample]]:
    batch: list[ReadSample] = []
    pixels = 0
    for _, found in read_decoded(path, name, config.dataset, config.tasks):
        if isinstance(found, Quarantined):
            _leave_out(found, config, written)
            continue
        size = found.image.pixels.shape[0] * found.image.pixels.shape[1]
        if batch and (len(batch) == BATCH_SAMPLES or pixels + size > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(found)
        pixels += size
    if batch:
        yield batch


def _encoded(
    batches: Iterator[list[ReadSample]], name: str, config: Config, generator: Generator, written: _Written
) -> Iterator[tuple[list[tuple[str, bytes]], ReadSample]]:
    for batch in batches:
        for sample, pixels in zip(batch, perturb_batch(batch, generator), strict=True):
            key = sample.sample.key
            try:
                measure_change(key, sample.image.pixels, pixels, config.protection.epsilon)
                image = encode_image(pixels, config.protect.encoding)
                yield published_members(sample.sample, config.dataset, image, config.protect.encoding), sample
            except SampleError as error:
                _leave_out(Quarantined.of(error, shard=name, key=key), config, written)
            except RefusedInputError as error:
                raise error.at(shard=name) from None


def perturb_batch(batch: list[ReadSample], generator: Generator) -> list[Pixels]:
    """Protected pixels of a few samples, each in its own size and type."""
    device = next(generator.parameters()).device
    views = np.stack([canonical_view(sample.image.pixels, generator.resolution) for sample in batch])
    x_BCHW = torch.from_numpy(views).to(device).permute(0, 3, 1, 2).float().div_(255)
    labels_BK = torch.tensor([sample.labels for sample in batch], device=device)
    gray_B = torch.tensor([is_gray(sample.image.pixels) for sample in batch], device=device)
    with torch.inference_mode():
        delta_BCHW = generator(x_BCHW, labels_BK, gray_B).cpu()
    return [
        add_perturbation(sample.image.pixels, delta_CHW, generator.epsilon)
        for sample, delta_CHW in zip(batch, delta_BCHW, strict=True)
    ]


def _leave_out(found: Quarantined, config: Config, written: _Written) -> None:
    if config.protect.on_error == "fail":
        raise InputError(f"{found.problem} (protect.on_error is `fail`)", shard=found.shard, key=found.key)
    written.quarantined.append(found)
