"""`mtlue import scenes`: draw the embedded dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.imports.options import Endpoint, Out, PerShard, Seed, make_shards

SCENES_CONTRAST = 0.35
"""`stages.datasets.scenes.CONTRAST`, which takes numpy and Pillow to import; a test holds the two equal."""


def scenes(
    out: Out,
    train: Annotated[int, typer.Option(min=1, help="Training samples.")] = 2400,
    test: Annotated[int, typer.Option(min=1, help="Held-out samples.")] = 600,
    size: Annotated[int, typer.Option(min=16, help="Side of an image in pixels.")] = 64,
    seed: Seed = 0,
    contrast: Annotated[float, typer.Option(help="Share of the light that is not haze, in 0..1.")] = SCENES_CONTRAST,
    shard_samples: PerShard = 400,
    endpoint_url: Endpoint = None,
) -> None:
    """Draw the embedded dataset: objects in scenes, five tasks (shape, colour, texture, position, size)."""
    from stages.datasets.embedded import import_scenes

    make_shards(
        import_scenes,
        out,
        endpoint_url,
        train=train,
        test=test,
        shard_samples=shard_samples,
        size=size,
        seed=seed,
        contrast=contrast,
    )
