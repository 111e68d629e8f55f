"""Protect: one shard in, one protected shard out; checked from its final bytes before anything is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from schemas.errors import InputError, RefusedInputError, SampleError, ValidationError
from schemas.plans import ProtectPlan
from schemas.records import Quarantined, ShardRecord, ShardRef
from stages.ingest.reading import ReadSample, read_decoded
from stages.io.images.encoding import encode_image
from stages.io.images.spill import Pixels
from stages.io.shards.layout import published_members
from stages.io.shards.tar import TarWriter
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store
from stages.perturbers.perturber import Perturber
from stages.protect.arrays import delta_of, table_of
from stages.protect.perturb import perturbed_strips
from stages.protect.prefetch import ahead
from stages.protect.validate import Change, validate_shard
from stages.tasks.kinds import kinds_of
from stages.tasks.task_kind import TaskKind

BATCH_SAMPLES = 64
"""Images that go through the generator together."""

BATCH_PIXELS = 16 * 2**20
"""Pixels that a batch holds at most, a single larger image apart: memory does not grow with the size of the images."""

QUEUE_BYTES = 64 * 2**20
"""Weight of decoded batches, and of encoded images, at which the step before waits."""


@dataclass
class Written:
    """What was written to the tar so far."""

    samples: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    labelled: dict[str, int] = field(default_factory=dict)


@dataclass
class Encoded:
    """A protected sample on its way into the tar."""

    members: list[tuple[str, bytes]]
    """Names and bytes; emptied as they are written."""
    labels: list[Any]
    """One a task."""


def protect_shard(
    source: Store,
    ref: ShardRef,
    output: Store,
    plan: ProtectPlan,
    perturber: Perturber,
    identity: str,
    before_put: Callable[[], None] = lambda: None,
) -> ShardRecord:
    """Protect one shard and publish it; the caller writes the returned record to the ledger, last.

    Args:
        source: where the raw shard lies.
        ref: the shard.
        output: the public place.
        plan: epsilon, encoding, members, what a bad sample does.
        perturber: makes δ.
        identity: of this shard under this plan.
        before_put: called when all is checked, before what is public of this shard is replaced.

    Raises:
        InputError: the shard is damaged, or a bad sample under `on_error: fail`.
        ValidationError: what was written does not pass; nothing was published.
        GeneratorError: δ is unusable; no shard can be protected.
    """
    started = time.monotonic()
    with TemporaryDirectory(prefix="mtlue-protect-") as directory:
        local, protected = Path(directory, "input"), Path(directory, "protected.tar")
        source.get(ref.name, local, etag=ref.etag)
        written = write_protected(local, ref.name, protected, plan, perturber)
        measured = validate_shard(
            local,
            ref.name,
            protected,
            plan.layout,
            epsilon=plan.epsilon,
            encoding=plan.encoding,
            tasks=plan.tasks,
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
        before_put()
        output.put(protected, record.name)
    return record


def write_protected(
    path: Path, name: str, target: Path, plan: ProtectPlan, perturber: Perturber, *, limit: int | None = None
) -> Written:
    """Write the protected twin of a local shard, or of its first `limit` samples; decoding, δ and encoding overlap."""
    written = Written(labelled={task.name: 0 for task in plan.tasks})
    kinds = kinds_of(plan.tasks)
    # Closed from the end to the start: an error at one end must not leave the other's thread behind.
    with (
        TarWriter(target) as tar,
        closing(
            ahead(_batches(path, name, plan, written, limit), depth=1, weight=_bytes_of, limit=QUEUE_BYTES)
        ) as batches,
        closing(
            ahead(
                _encoded(batches, name, plan, perturber, written),
                depth=BATCH_SAMPLES,
                weight=lambda encoded: sum(len(data) for _, data in encoded.members),
                limit=QUEUE_BYTES,
            )
        ) as encoded,
    ):
        for sample in encoded:
            while sample.members:
                tar.add(*sample.members.pop(0))
            written.samples += 1
            for kind, label in zip(kinds, sample.labels, strict=True):
                written.labelled[kind.task.name] += not kind.is_missing(label)
    written.quarantined.sort(key=lambda left_out: left_out.key)
    return written


def _bytes_of(batch: list[ReadSample]) -> int:
    return sum(
        sample.image.pixels.nbytes + sum(len(member.data) for member in sample.sample.members) for sample in batch
    )


def _batches(
    path: Path, name: str, plan: ProtectPlan, written: Written, limit: int | None
) -> Iterator[list[ReadSample]]:
    batch: list[ReadSample] = []
    pixels = 0
    for _, found in islice(read_decoded(path, name, plan.layout, plan.tasks), limit):
        if isinstance(found, Quarantined):
            _leave_out(found, plan, written)
            continue
        size = found.image.pixels.shape[0] * found.image.pixels.shape[1]
        if batch and pixels + size > BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
        batch.append(found)
        pixels += size
        del found  # whoever takes the batch empties it
        if len(batch) == BATCH_SAMPLES or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _encoded(
    batches: Iterator[list[ReadSample]], name: str, plan: ProtectPlan, perturber: Perturber, written: Written
) -> Iterator[Encoded]:
    """Each batch is emptied on the way: an image's pixels are gone as soon as it is encoded."""
    kinds = kinds_of(plan.tasks)
    for batch in batches:
        deltas = list(_deltas(batch, kinds, perturber))
        while batch:
            sample = batch.pop(0)
            key = sample.sample.key
            try:
                change = Change(key, sample.image.pixels, plan.epsilon)
                perturb_in_place(sample.image.pixels, deltas.pop(0), perturber.epsilon, change)
                image = encode_image(sample.image.pixels, plan.encoding, spend=True)
                members = published_members(sample.sample, plan.layout, image, plan.encoding, plan.tasks)
                made = [Encoded(members, sample.labels)]
                del sample, image, members
                yield made.pop()
            except SampleError as error:
                _leave_out(Quarantined.of(error, shard=name, key=key), plan, written)
            except RefusedInputError as error:
                raise error.at(shard=name) from None


def _deltas(batch: list[ReadSample], kinds: Sequence[TaskKind], perturber: Perturber) -> torch.Tensor:
    """δ of a few samples, B×3×R×R on the CPU."""
    images = [sample.image.pixels for sample in batch]
    labels = list(zip(*(sample.labels for sample in batch), strict=True))
    table = table_of(images, labels, kinds, perturber.resolution)
    rows = np.arange(len(batch))
    return delta_of(table.batch(rows, torch.device("cpu")), perturber, [sample.sample.key for sample in batch])


def perturb_in_place(pixels_HWC: Pixels, delta_CRR: torch.Tensor, epsilon: float, change: Change) -> None:
    """Add δ to an image, in its own place; each strip is held against the one that it replaces.

    Raises:
        SampleError: as `Change.measured`.
    """
    for columns, strip_HwC in perturbed_strips(pixels_HWC, delta_CRR, epsilon):
        change.add(pixels_HWC[:, columns], strip_HwC)
        pixels_HWC[:, columns] = strip_HwC
    change.measured()


def _leave_out(found: Quarantined, plan: ProtectPlan, written: Written) -> None:
    if plan.on_error == "fail":
        raise InputError(f"{found.problem} (protect.on_error is `fail`)", shard=found.shard, key=found.key)
    written.quarantined.append(found)
