"""Ingest: read one shard, learn what is in it, and write its images at one resolution for trainers to map.

The same function makes the tables of the audit: clean, with random noise, protected and held-out. `read_decoded` is the
one pass over a local shard: every sample is decoded and labelled, or quarantined with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from schemas.dataset import Layout
from schemas.errors import RefusedInputError, SampleError
from schemas.plans import IngestPlan
from schemas.records import Quarantined, ShardProfile, ShardRef
from schemas.stats import Moments
from schemas.tasks import Task
from stages.io.images.decoding import Decoded, decode_image
from stages.io.images.pixel_layout import canonical_view, is_gray
from stages.io.shards.layout import image_member
from stages.io.shards.originals.copies import refuse_copies
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import OnStray, Sample, Strays, key_hash
from stages.io.store.objects import file_sha256
from stages.io.store.store import Store
from stages.learning.table import TableWriter
from stages.tasks.counts import LabelCounts
from stages.tasks.kinds import kinds_of
from stages.tasks.labels import known_fields, labels_of
from stages.transforms.pixels import transforms_of


@dataclass(frozen=True, slots=True)
class ReadSample:
    """A sample with its image decoded and its labels found."""

    sample: Sample
    image: Decoded
    labels: list[Any]
    """Of each task, as its kind has it (`TaskKind.label`), at the image's own size."""


def read_decoded(
    path: Path, name: str, dataset: Layout, tasks: Sequence[Task], on_stray: OnStray = lambda name: None
) -> Iterator[tuple[Sample | None, ReadSample | Quarantined]]:
    """Stream a shard's samples, decoded, in their order; constant memory.

    Args:
        path: the shard on the local disk.
        name: the shard's name, for messages.
        dataset: how a sample is laid out.
        tasks: whose labels are looked up.
        on_stray: called with the name of each member that belongs to no sample.

    Yields:
        (the sample as stored, None where it could not even be read; the decoded sample or why it is left out).

    Raises:
        InputError: the shard is damaged.
        RefusedInputError: a sample must not be processed before the configuration is fixed; names the shard.
    """
    kinds = kinds_of(tasks)
    for found in read_samples(path, name, dataset, on_stray):
        if isinstance(found, Quarantined):
            yield None, found
            continue
        try:
            member = image_member(found, dataset, tasks)
            image = decode_image(member.data, max_pixels=dataset.max_pixels)
            refuse_copies(found, member, image.pixels, dataset)
            labels = labels_of(found, kinds)
            for kind, label in zip(kinds, labels, strict=True):
                if not kind.is_missing(label):
                    kind.check(label, *image.pixels.shape[:2])
            whole = [ReadSample(found, image, labels)]
            del image, labels  # a large image must not be held here while the next one is decoded
            yield found, whole.pop()
        except SampleError as error:
            yield found, Quarantined.of(error, shard=name, key=found.key)
        except RefusedInputError as error:
            raise error.at(shard=name) from None


def select_keys(path: Path, name: str, dataset: Layout, limit: int) -> frozenset[str] | None:
    """The `limit` keys of a shard that come first by hash; None when all of them fit.

    The choice depends on keys alone, so every version of a dataset (clean, noise, protected) keeps the same samples.
    Where samples are left out, others take their places in the protected version.
    """
    keys = [found.key for found in read_samples(path, name, dataset)]
    return None if len(keys) <= limit else frozenset(sorted(keys, key=key_hash)[:limit])


MEMBERS_REMEMBERED = 200
"""Names of members in a profile; names are many where keys have dots."""

FIELDS_SAMPLED = 50
"""Samples whose fields are remembered for error messages."""


def ingest_shard(source: Store, ref: ShardRef, work: Store, name: str, plan: IngestPlan, limit: int) -> ShardProfile:
    """Profile one shard and write its table to `work` under `name`.

    Args:
        source: where the shard lies.
        ref: the shard.
        work: the private place.
        name: object name of the Arrow file in `work`.
        plan: how samples are read, and what becomes of them.
        limit: samples in the table at most; those whose keys come first by hash.

    Raises:
        InputError: the shard is damaged.
        RefusedInputError: the data or the configuration must be fixed first.
        StoreError, TransientError: from the stores.
    """
    with TemporaryDirectory(prefix="mtlue-ingest-") as directory:
        local, table = Path(directory, "shard"), Path(directory, "table")
        source.get(ref.name, local, etag=ref.etag)
        profile = profile_shard(local, ref.name, table, plan, limit)
        if profile.cached:
            work.put(table, name)
        return profile.model_copy(update={"cache": name if profile.cached else ""})


def profile_shard(path: Path, name: str, table: Path, plan: IngestPlan, limit: int) -> ShardProfile:
    """Profile a local shard and write its table to the local file `table`."""
    chosen = select_keys(path, name, plan.layout, limit)
    transforms = transforms_of(plan.transforms)
    kinds = kinds_of(plan.tasks)
    writer = TableWriter(table, resolution=plan.resolution, kinds=kinds)
    modes: Counter[str] = Counter()
    height, width, brightness = Moments(), Moments(), Moments()
    counts = LabelCounts(kinds)
    quarantined: list[Quarantined] = []
    fields: dict[str, None] = {}
    members: dict[str, None] = {}
    strays = Strays()
    samples = rotated = seen = 0
    for sample, found in read_decoded(path, name, plan.layout, plan.tasks, strays.add):
        if sample is not None and seen < FIELDS_SAMPLED:
            fields.update(dict.fromkeys(known_fields(sample)))
        if sample is not None and sample.image is None and len(members) < MEMBERS_REMEMBERED:
            members.update(dict.fromkeys(member.field for member in sample.members))
        seen += 1
        if isinstance(found, Quarantined):
            quarantined.append(found)
            continue
        samples += 1
        rotated += found.image.rotated
        modes[found.image.mode] += 1
        height, width = height.add(found.image.pixels.shape[0]), width.add(found.image.pixels.shape[1])
        counts.add(found.labels)
        key = found.sample.key
        if chosen is None or key in chosen:
            pixels = found.image.pixels
            for transform in transforms:
                pixels = transform(pixels, key)
            view = canonical_view(pixels, plan.resolution)
            labels = [kind.viewed(label, plan.resolution) for kind, label in zip(kinds, found.labels, strict=True)]
            brightness = brightness.add(float(view.mean()))
            writer.add(view, labels, gray=is_gray(pixels), key=key)
            del pixels
        del found  # not held while the next one is decoded
    writer.close()
    return ShardProfile(
        name=name,
        samples=samples,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        modes=dict(sorted(modes.items())),
        height=height,
        width=width,
        histograms=counts.histograms,
        values=counts.values,
        missing=counts.missing,
        rotated=rotated,
        fields=list(fields),
        members=list(members)[:MEMBERS_REMEMBERED],
        quarantined=quarantined,
        strays=strays.count,
        first_stray=strays.first,
        brightness=brightness,
        cached=writer.count,
        limit=limit,
    )
