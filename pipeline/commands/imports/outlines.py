"""`mtlue import outlines`: draw the dataset of `make run`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.imports.options import Endpoint, Out, PerShard, Seed, make_shards


def outlines(
    out: Out,
    train: Annotated[int, typer.Option(min=1, help="Training samples.")] = 4000,
    test: Annotated[int, typer.Option(min=1, help="Held-out samples.")] = 600,
    size: Annotated[int, typer.Option(min=16, help="Side of a picture in pixels.")] = 32,
    seed: Seed = 0,
    tasks: Annotated[int, typer.Option(min=1, max=16, help="Bodies in a picture, a task of ten classes each.")] = 2,
    shard_samples: PerShard = 400,
    endpoint_url: Endpoint = None,
) -> None:
    """Draw the dataset of `make run`: bodies on a dark ground, a task of ten outlines for each."""
    from stages.datasets.embedded import import_outlines

    make_shards(
        import_outlines,
        out,
        endpoint_url,
        train=train,
        test=test,
        shard_samples=shard_samples,
        size=size,
        seed=seed,
        tasks=tasks,
    )
