"""`mtlue import rooms`: render the embedded dense dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.imports.options import Endpoint, Out, PerShard, Seed, print_done

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
    from pipeline.cluster.progress import Reporter
    from schemas.config import Storage
    from stages.datasets.embedded import import_rooms
    from stages.io.store.store import Store

    store, reporter = Store(out, Storage(endpoint_url=endpoint_url)), Reporter()
    with reporter.step("render", -(-train // shard_samples) + -(-test // shard_samples), "shards") as step:
        shards = import_rooms(
            store,
            train=train,
            test=test,
            size=size,
            seed=seed,
            contrast=contrast,
            shard_samples=shard_samples,
            on_shard=lambda shard: step.advance(),
        )
    print_done(shards, store)
