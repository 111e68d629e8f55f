"""`mtlue import multifashion`: two Fashion-MNIST products in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.imports.options import Endpoint, Out, PerShard, Seed, make_shards


def multifashion(
    source: Annotated[Path, typer.Option(help="Directory with the four Fashion-MNIST IDX files, gzipped or not.")],
    out: Out,
    train: Annotated[int, typer.Option(min=1, help="Training samples.")] = 60_000,
    test: Annotated[int, typer.Option(min=1, help="Held-out samples.")] = 10_000,
    size: Annotated[int, typer.Option(min=16, help="Side of an image in pixels.")] = 36,
    seed: Seed = 0,
    rgb: Annotated[bool, typer.Option("--rgb", help="Three equal channels; the perturbation may be coloured.")] = False,
    shard_samples: PerShard = 1000,
    endpoint_url: Endpoint = None,
) -> None:
    """MultiFashion: two overlapping Fashion-MNIST products an image, tasks `left` and `right` of ten classes."""
    from functools import partial

    from stages.datasets.multifashion import import_multifashion

    make_shards(
        partial(import_multifashion, source),
        out,
        endpoint_url,
        train=train,
        test=test,
        shard_samples=shard_samples,
        size=size,
        seed=seed,
        mode="RGB" if rgb else "L",
    )
