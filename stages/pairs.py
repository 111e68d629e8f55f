"""Pairs of clean and protected images, read from a shard and its published twin, to be looked at."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.config import Config, Dataset
from schemas.records import Quarantined, ShardRef
from stages.io.codecs import Pixels, same_layout
from stages.io.stores import Store
from stages.reading import ReadSample, read_decoded


def published_dataset(config: Config) -> Dataset:
    """How a published sample is laid out: the image has the ending of its new encoding, the rest is as declared."""
    encoding = config.protect.encoding
    fields = []
    for field in config.dataset.image_fields:
        head, dot, _ = field.rpartition(".")
        fields.append(f"{head}{dot}{encoding}")
    return config.dataset.model_copy(update={"image": ";".join(dict.fromkeys(fields))})


def sample_pairs(
    source: Store, ref: ShardRef, output: Store, config: Config, count: int
) -> list[tuple[str, Pixels, Pixels]]:
    """The first samples of a published shard beside their originals.

    Returns:
        Up to `count` of (key, clean H×W×C, protected H×W×C) in the same layout.
    """
    with TemporaryDirectory(prefix="mtlue-pairs-") as directory:
        clean_path, protected_path = Path(directory, "clean"), Path(directory, "protected")
        source.get(ref.name, clean_path)
        output.get(ref.output_name, protected_path)
        protected: dict[str, Pixels] = {}
        for _, found in read_decoded(protected_path, ref.output_name, published_dataset(config), []):
            if isinstance(found, ReadSample):
                protected[found.sample.key] = found.image.pixels
            if len(protected) == count:
                break
        pairs: list[tuple[str, Pixels, Pixels]] = []
        for _, found in read_decoded(clean_path, ref.name, config.dataset, []):
            if isinstance(found, Quarantined) or found.sample.key not in protected:
                continue
            clean = found.image.pixels
            pairs.append((found.sample.key, clean, same_layout(protected[found.sample.key], clean.shape[2])))
            if len(pairs) == len(protected):
                break
        return pairs
