"""`mtlue import celeba`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.imports.options import (
    ByteLimit,
    Endpoint,
    Original,
    Out,
    PerShard,
    Source,
    Target,
    Workers,
    run_adapter,
)
from pipeline.commands.options import AsJson


def celeba(
    source: Source,
    out: Out,
    crop: Annotated[int, typer.Option(min=16, help="Side of the square cut out of the middle, in pixels.")] = 140,
    size: Annotated[int, typer.Option(min=16, help="Side that is stored, in pixels.")] = 70,
    original: Original = False,
    shard_samples: PerShard = 1000,
    shard_bytes: ByteLimit = None,
    workers: Workers = None,
    endpoint_url: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """CelebA: faces with 40 binary attributes, from img_align_celeba/, list_attr_celeba and list_eval_partition."""
    from stages.datasets.celeba import CelebA
    from stages.datasets.pictures import Stored

    adapter = CelebA(source=source, pictures=Stored(original=original, size=size, crop=crop))
    run_adapter(adapter, Target(out, endpoint_url, shard_samples, shard_bytes, workers, as_json))
