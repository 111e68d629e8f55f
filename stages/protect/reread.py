"""The samples of a protected shard, as they are read again from its final bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from schemas.config import Layout
from schemas.errors import ValidationError
from schemas.records import Quarantined
from stages.io.shards.names import OnStray
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.io.shards.writing import local_name


def protected_samples(path: Path, shard: str, layout: Layout) -> Iterator[Sample]:
    """Stream a protected shard; memory is constant.

    Args:
        path: on the local disk; its ending tells the format.
        shard: name of its input.
        layout: of its input.

    Raises:
        ValidationError: something in it is no sample.
    """
    for found in read_samples(path, local_name(shard, path), layout, refuse_strays(shard)):
        if isinstance(found, Quarantined):
            raise ValidationError(found.problem, shard=shard, key=found.key)
        yield found


def refuse_strays(shard: str) -> OnStray:
    """What refuses every member of a published shard that belongs to no sample."""

    def refuse(name: str) -> None:
        problem = f"member {name!r} belongs to no sample, and readers pass it by; publish the shard again"
        raise ValidationError(problem, shard=shard)

    return refuse
