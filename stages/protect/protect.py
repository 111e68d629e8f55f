"""Protect: one shard in, one protected shard out; checked from its final bytes before anything is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.errors import InputError, RefusedInputError, SampleError, ValidationError
from schemas.plans import ProtectPlan
from schemas.records import Quarantined, ShardRecord, ShardRef
from stages.ingest.ingest import ReadSample, read_decoded
from stages.io.shards.writing import shard_writer
from stages.io.store.objects import file_sha256
from stages.io.store.store import Store
from stages.perturbers.perturber import Perturber
from stages.protect.deltas import Deltas
from stages.protect.prefetch import ahead
from stages.protect.reread import Receipt
from stages.protect.sample import SampleMaker
from stages.protect.validate import Measured
from stages.tasks.kinds import column_values, kinds_of

BATCH_SAMPLES = 64
"""Images that go through the generator together."""

BATCH_PIXELS = 16 * 2**20
"""Pixels that a batch holds at most, a single larger image apart: memory does not grow with the size of the images."""

QUEUE_BYTES = 64 * 2**20
"""Weight of decoded batches at which decoding waits."""


@dataclass
class Written:
    """What was written to the shard so far."""

    measured: Measured = field(default_factory=Measured)
    """What protection changed in its images."""
    receipt: Receipt = field(default_factory=Receipt)
    """Of every member; for the check of the final bytes."""
    quarantined: list[Quarantined] = field(default_factory=list)
    labelled: dict[str, int] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """How many."""
        return self.measured.samples


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
        perturber: gives δ.
        identity: of this shard under this plan.
        before_put: called when all is checked, before what is public of this shard is replaced.

    Raises:
        InputError: the shard is damaged, or a bad sample under `on_error: fail`.
        ValidationError: what was written does not pass; nothing was published.
        GeneratorError: δ is unusable; no shard can be protected.
    """
    started = time.monotonic()
    with TemporaryDirectory(prefix="mtlue-protect-") as directory:
        local, protected = Path(directory, "input"), Path(directory, f"protected.{plan.output_format}")
        source.get(ref.name, local, etag=ref.etag)
        written = write_protected(local, ref.name, protected, plan, perturber)
        written.receipt.check(protected, ref.name, plan.layout)
        measured = written.measured
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
    """Write the protected twin of a local shard, or of its first `limit` samples; a thread decodes ahead.

    The ending of `target` must be that of the plan's format.

    Each image is decoded again from the bytes that are written, and each sample compared with its input, while the
    input is still in memory. `Written.receipt` then tells whether the disk has these bytes.

    Raises:
        ValidationError: an image or a sample is not what it should be; names shard and sample.
        InputError, GeneratorError: as `protect_shard`.
    """
    written = Written(labelled={task.name: 0 for task in plan.tasks})
    kinds = kinds_of(plan.tasks)
    maker = SampleMaker(plan, perturber.epsilon)
    deltas = Deltas(perturber, kinds)
    with (
        shard_writer(target, path, name, plan) as shard,
        closing(
            ahead(_batches(path, name, plan, written, limit), depth=1, weight=_bytes_of, limit=QUEUE_BYTES)
        ) as batches,
    ):
        for batch in batches:
            found = deltas.of(batch)
            while batch:
                whole = [batch.pop(0)]
                sample, labels = whole[0].sample, whole[0].labels
                try:
                    members, change = maker.make(whole, found.pop(0))
                except SampleError as error:
                    _leave_out(Quarantined.of(error, shard=name, key=sample.key), plan, written)
                    continue
                except (RefusedInputError, ValidationError) as error:
                    raise error.at(shard=name, key=sample.key) from None
                written.receipt.add(*shard.add_sample(sample, members, column_values(kinds, labels)))
                written.measured.add(change)
                for kind, label in zip(kinds, labels, strict=True):
                    written.labelled[kind.task.name] += not kind.is_missing(label)
                del sample  # its image must not be held while the next one is made
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


def _leave_out(found: Quarantined, plan: ProtectPlan, written: Written) -> None:
    if plan.on_error == "fail":
        raise InputError(f"{found.problem} (protect.on_error is `fail`)", shard=found.shard, key=found.key)
    written.quarantined.append(found)
