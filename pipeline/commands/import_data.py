"""`mtlue import`: turn a public dataset, or the embedded one, into shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.records import ManifestShard
    from stages.io.store.store import Store

SCENES_CONTRAST = 0.35
"""`stages.datasets.scenes.CONTRAST`, which takes numpy and Pillow to import; a test holds the two equal."""

importer = typer.Typer(help="Turn a dataset into shards: one command per dataset.", no_args_is_help=True)

Out = Annotated[str, typer.Option("--out", help="URL or path of the shards.")]
Endpoint = Annotated[str | None, typer.Option(help="Endpoint of an S3-compatible store.")]
Seed = Annotated[int, typer.Option(min=0, help="Decides which samples are made.")]
PerShard = Annotated[int, typer.Option(min=1, help="Samples in a shard.")]


def _done(shards: list[ManifestShard], store: Store) -> None:
    print(f"{len(shards)} shards, {sum(shard.samples for shard in shards)} samples in {store.url}")


@importer.command()
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
    from pipeline.cluster.progress import Reporter
    from schemas.config import Storage
    from stages.datasets.embedded import import_scenes
    from stages.io.store.store import Store

    store, reporter = Store(out, Storage(endpoint_url=endpoint_url)), Reporter()
    with reporter.step("draw", -(-train // shard_samples) + -(-test // shard_samples), "shards") as step:
        shards = import_scenes(
            store,
            train=train,
            test=test,
            size=size,
            seed=seed,
            contrast=contrast,
            shard_samples=shard_samples,
            on_shard=lambda shard: step.advance(),
        )
    _done(shards, store)


@importer.command()
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
    from pipeline.cluster.progress import Reporter
    from schemas.config import Storage
    from stages.datasets.multifashion import import_multifashion
    from stages.io.store.store import Store

    store, reporter = Store(out, Storage(endpoint_url=endpoint_url)), Reporter()
    with reporter.step("import", -(-train // shard_samples) + -(-test // shard_samples), "shards") as step:
        shards = import_multifashion(
            source,
            store,
            train=train,
            test=test,
            size=size,
            seed=seed,
            mode="RGB" if rgb else "L",
            shard_samples=shard_samples,
            on_shard=lambda shard: step.advance(),
        )
    _done(shards, store)
