"""Samples before and after: clean and protected images of one shard, to be looked at."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.plans import PublishPlan
from schemas.records import Quarantined, ShardRef
from stages.ingest.reading import ReadSample, read_decoded
from stages.io.images.codecs import Pixels, same_layout
from stages.io.shards.layout import published_layout
from stages.io.store.store import Store

Pair = tuple[str, Pixels, Pixels]
"""Key, clean H×W×C and protected H×W×C of one sample, in the same layout."""

PICTURES = 6
"""Samples that the report shows."""


def sample_pairs(source: Store, ref: ShardRef, output: Store, plan: PublishPlan, count: int = PICTURES) -> list[Pair]:
    """The first samples of a published shard beside their originals.

    Returns:
        Up to `count` pairs.
    """
    with TemporaryDirectory(prefix="mtlue-pairs-") as directory:
        clean_path, protected_path = Path(directory, "clean"), Path(directory, "protected")
        source.get(ref.name, clean_path)
        output.get(ref.output_name, protected_path)
        protected: dict[str, Pixels] = {}
        for _, found in read_decoded(protected_path, ref.output_name, published_layout(plan.layout, plan.encoding), []):
            if isinstance(found, ReadSample):
                protected[found.sample.key] = found.image.pixels
            if len(protected) == count:
                break
        pairs: list[Pair] = []
        for _, found in read_decoded(clean_path, ref.name, plan.layout, []):
            if isinstance(found, Quarantined) or found.sample.key not in protected:
                continue
            clean = found.image.pixels
            pairs.append((found.sample.key, clean, same_layout(protected[found.sample.key], clean.shape[2])))
            if len(pairs) == len(protected):
                break
        return pairs
