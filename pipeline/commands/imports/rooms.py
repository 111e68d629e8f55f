"""`mtlue import rooms`: render the embedded dense dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.imports.options import Endpoint, Out, PerShard, Seed, make_shards

ROOMS_CONTRAST = 0.6
"""`stages.datasets.rooms.CONTRAST`, which takes numpy and Pillow to import; a test holds the two equal."""


def rooms(
    out: Out,
    train: Annotated[int, typer.Option(min=1, help="Training samples.")] = 2000,
    test: Annotated[int, typer.Option(min=1, help="Held-out samples.")] = 400,
    size: Annotated[int, typer.Option(min=16, help="Side of an image in pixels.")] = 64,
    seed: Seed = 0,
    contrast: Annotated[float, typer.Option(help="Share of the light that is not haze, in 0..1.")] = ROOMS_CONTRAST,
    shard_samples: PerShard = 400,
    endpoint_url: Endpoint = None,
) -> None:
    """Render the embedded dense dataset: rooms, three tasks (mask, depth, normals)."""
    from stages.datasets.embedded import import_rooms

    make_shards(
        import_rooms,
        out,
        endpoint_url,
        train=train,
        test=test,
        shard_samples=shard_samples,
        size=size,
        seed=seed,
        contrast=contrast,
    )
