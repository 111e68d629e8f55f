"""Ingest: read one shard, learn what is in it, and write its images at one resolution for trainers to map.

The same function makes the tables of the audit: clean, with random noise, protected and held-out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.plans import IngestPlan
from schemas.records import Quarantined, ShardProfile, ShardRef
from schemas.stats import Moments
from stages.ingest.reading import read_decoded, select_keys
from stages.io.images.pixels import canonical_view, is_gray
from stages.io.shards.names import Strays
from stages.io.store.checksums import file_sha256
from stages.io.store.store import Store
from stages.learning.table import TableWriter
from stages.tasks.counts import LabelCounts
from stages.tasks.kinds import kinds_of
from stages.tasks.labels import known_fields
from stages.transforms.pixels import transforms_of

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
    strays = Strays()
    samples = rotated = seen = 0
    for sample, found in read_decoded(path, name, plan.layout, plan.tasks, strays.add):
        if sample is not None and seen < FIELDS_SAMPLED:
            fields.update(dict.fromkeys(known_fields(sample)))
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
        quarantined=quarantined,
        strays=strays.count,
        first_stray=strays.first,
        brightness=brightness,
        cached=writer.count,
        limit=limit,
    )
