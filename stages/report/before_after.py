"""Samples before and after: clean and protected images of one shard, to be looked at."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from schemas.plans import ProtectPlan, PublishPlan
from schemas.records import Quarantined, ShardRef
from stages.ingest.reading import ReadSample, read_decoded
from stages.io.images.encoding import same_layout
from stages.io.images.spill import Pixels
from stages.io.shards.layout import published_layout
from stages.io.store.store import Store
from stages.perturbers.perturber import Perturber
from stages.protect.protect import write_protected
from stages.tasks.kinds import kinds_of


class Pair(NamedTuple):
    """One sample."""

    key: str
    clean: Pixels
    """H×W×C."""
    protected: Pixels
    """H×W×C, in the same layout."""
    labels: tuple[tuple[str, Pixels], ...] = ()
    """Name and picture, H×W×3, of each label that has a value per pixel."""


PICTURES = 6
"""Samples that the report shows."""


def sample_pairs(source: Store, ref: ShardRef, output: Store, plan: PublishPlan, count: int = PICTURES) -> list[Pair]:
    """The first samples of a published shard beside their originals, with pictures of their labels.

    Returns:
        Up to `count` pairs.
    """
    with TemporaryDirectory(prefix="mtlue-pairs-") as directory:
        clean, protected = Path(directory, "clean"), Path(directory, "protected")
        source.get(ref.name, clean)
        output.get(ref.output_name, protected)
        return _pairs(clean, protected, ref, plan, count)


def made_pairs(
    source: Store, ref: ShardRef, protect: ProtectPlan, plan: PublishPlan, perturber: Perturber, count: int = PICTURES
) -> list[Pair]:
    """The first samples of a shard as the protecting step would publish them, beside their originals.

    Returns:
        Up to `count` pairs; nothing of it is kept.
    """
    with TemporaryDirectory(prefix="mtlue-pairs-") as directory:
        clean, protected = Path(directory, "clean"), Path(directory, f"protected.{protect.output_format}")
        source.get(ref.name, clean)
        write_protected(clean, ref.name, protected, protect, perturber, limit=count)
        return _pairs(clean, protected, ref, plan, count)


def _pairs(clean_path: Path, protected_path: Path, ref: ShardRef, plan: PublishPlan, count: int) -> list[Pair]:
    protected: dict[str, Pixels] = {}
    for _, found in read_decoded(protected_path, ref.output_name, published_layout(plan.layout, plan.encoding), []):
        if isinstance(found, ReadSample):
            protected[found.sample.key] = found.image.pixels
        if len(protected) == count:
            break
    pairs: list[Pair] = []
    tasks = [task for task in plan.tasks if task.per_pixel]
    for _, found in read_decoded(clean_path, ref.name, plan.layout, tasks):
        if isinstance(found, Quarantined) or found.sample.key not in protected:
            continue
        clean = found.image.pixels
        shown = zip(tasks, kinds_of(tasks), found.labels, strict=True)
        labels = [(task.name, kind.picture(label)) for task, kind, label in shown if not kind.is_missing(label)]
        again = same_layout(protected[found.sample.key], clean.shape[2])
        pairs.append(Pair(found.sample.key, clean, again, tuple(labels)))
        if len(pairs) == len(protected):
            break
    return pairs
