"""One pass over a local shard: every sample decoded and labelled, or quarantined with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.config import Layout
from schemas.errors import RefusedInputError, SampleError
from schemas.records import Quarantined
from schemas.tasks import Task
from stages.io.images.decoding import Decoded, decode_image
from stages.io.shards.layout import image_member
from stages.io.shards.names import OnStray, key_hash
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.tasks.kinds import kinds_of
from stages.tasks.labels import labels_of


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
            image = decode_image(image_member(found, dataset, tasks).data, max_pixels=dataset.max_pixels)
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

    The choice depends on keys alone, so every version of a dataset (clean, noise, protected) keeps the same samples;
    where samples are left out, others take their places in the protected version.
    """
    keys = [found.key for found in read_samples(path, name, dataset)]
    return None if len(keys) <= limit else frozenset(sorted(keys, key=key_hash)[:limit])
