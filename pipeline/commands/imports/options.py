"""What the commands of `mtlue import` have in common: their options, and the line that they end with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.records import ManifestShard
    from stages.io.store.store import Store

Out = Annotated[str, typer.Option("--out", help="URL or path of the shards.")]
Endpoint = Annotated[str | None, typer.Option(help="Endpoint of an S3-compatible store.")]
Seed = Annotated[int, typer.Option(min=0, help="Decides which samples are made.")]
PerShard = Annotated[int, typer.Option(min=1, help="Samples in a shard.")]


def print_done(shards: list[ManifestShard], store: Store) -> None:
    """How many shards and samples lie in the store now."""
    print(f"{len(shards)} shards, {sum(shard.samples for shard in shards)} samples in {store.url}")
