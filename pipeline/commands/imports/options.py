"""What the commands of `mtlue import` have in common: their options, and the lines that they end with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import print_result
from pipeline.configuration.addresses import address

if TYPE_CHECKING:
    from schemas.imports import ImportSummary
    from schemas.records import ManifestShard
    from stages.datasets.adapter import Adapter

Out = Annotated[str, typer.Option("--out", help="URL or path of the shards.")]
Endpoint = Annotated[str | None, typer.Option(help="Endpoint of an S3-compatible store.")]
Seed = Annotated[int, typer.Option(min=0, help="Decides which samples are made.")]
PerShard = Annotated[int, typer.Option(min=1, help="Samples in a shard.")]
Source = Annotated[Path, typer.Option(help="Folder that holds the dataset.")]
Original = Annotated[bool, typer.Option("--original", help="Keep the pictures' own bytes: no crop, no resize.")]
ByteLimit = Annotated[
    int | None, typer.Option(min=1, help="Close a shard at so many bytes of source files, instead of by samples.")
]
TestPercent = Annotated[int, typer.Option(min=0, max=100, help="Test split in percent, where a hash decides.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers; every core when left out. 1: without Ray.")]


def make_shards(
    importer: Callable[..., list[ManifestShard]],
    out: str,
    endpoint_url: str | None,
    *,
    train: int,
    test: int,
    shard_samples: int,
    **options: Any,
) -> None:
    """Make a dataset of a training and a test split, shard by shard in this process, and say what lies there now.

    Args:
        importer: of `stages/datasets/`; called with a store, these numbers, `options` and `on_shard`.
        out: URL or path of the shards.
        endpoint_url: endpoint of an S3-compatible store.
        train: samples of the training split.
        test: samples of the test split.
        shard_samples: samples in a shard.
        options: the dataset's own.
    """
    from pipeline.cluster.progress import Reporter
    from schemas.config import Storage
    from stages.io.store.store import Store

    store = Store(address(out, "--out"), Storage(endpoint_url=endpoint_url))
    with Reporter().step("import", -(-train // shard_samples) + -(-test // shard_samples), "shards") as step:
        shards = importer(
            store,
            train=train,
            test=test,
            shard_samples=shard_samples,
            on_shard=lambda shard: step.advance(),
            **options,
        )
    print(f"{len(shards)} shards, {sum(shard.samples for shard in shards)} samples in {store.url}")


@dataclass(frozen=True)
class Target:
    """Where an import goes and how it is made."""

    out: str
    endpoint_url: str | None
    shard_samples: int
    shard_bytes: int | None
    workers: int | None
    as_json: bool


def run_adapter(adapter: Adapter, target: Target) -> None:
    """Import a dataset, and print what became of its rows."""
    from pipeline.cluster.progress import Reporter
    from pipeline.run.import_data import SUMMARY, import_dataset
    from schemas.config import Compute, Storage
    from stages.datasets.planning import ShardLimit
    from stages.io.store.store import Store

    by_bytes = target.shard_bytes is not None
    store = Store(address(target.out, "--out"), Storage(endpoint_url=target.endpoint_url))
    summary = import_dataset(
        adapter,
        store,
        Reporter("json" if target.as_json else "auto"),
        limit=ShardLimit(samples=None if by_bytes else target.shard_samples, bytes=target.shard_bytes),
        compute=Compute(cpus=target.workers or "auto"),
    )
    print_result(summary_lines(summary, store.join(SUMMARY)), summary_figures(summary), as_json=target.as_json)


def summary_figures(summary: ImportSummary) -> dict[str, Any]:
    """The figures of an import as plain JSON values; `import.json` has each shard as well."""
    return {
        "samples": {split: count.samples for split, count in summary.splits.items()},
        "shards": {split: len(count.shards) for split, count in summary.splits.items()},
        "rows": summary.rows,
        "skipped": summary.skipped.model_dump()["reasons"],
    }


def summary_lines(summary: ImportSummary, url: str) -> list[str]:
    """What an import prints last."""
    lines = []
    for reason, skipped in summary.skipped.reasons.items():
        lines.append(f"left out    {skipped.count} rows, {reason}; the first: {skipped.examples[0]}")
    for split, count in summary.splits.items():
        lines.append(f"{split:<11} {count.samples} samples in {len(count.shards)} shards")
    lines.append(f"rows        {summary.rows}, of which {summary.skipped.total} left out")
    lines.append(f"summary     {url}")
    return lines
