"""`mtlue import nyuv2`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.imports.options import (
    ByteLimit,
    Endpoint,
    Out,
    PerShard,
    Source,
    Target,
    Workers,
    run_adapter,
)
from pipeline.commands.options import AsJson


def nyuv2(
    source: Source,
    out: Out,
    classes: Annotated[
        int, typer.Option(help="Classes of the masks of the labelled file: 13, 40, or 0 for no masks.")
    ] = 13,
    shard_samples: PerShard = 200,
    shard_bytes: ByteLimit = None,
    workers: Workers = None,
    endpoint_url: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """NYUv2: masks, depths (and normals), from nyu_depth_v2_labeled.mat with splits.mat, or the 288×384 npy export."""
    from stages.datasets.nyuv2 import nyuv2_adapter

    adapter = nyuv2_adapter(source, classes)
    run_adapter(adapter, Target(out, endpoint_url, shard_samples, shard_bytes, workers, as_json))
