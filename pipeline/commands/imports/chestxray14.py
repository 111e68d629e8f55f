"""`mtlue import chestxray14`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipeline.commands.imports.options import (
    ByteLimit,
    Endpoint,
    Original,
    Out,
    PerShard,
    Source,
    Target,
    TestPercent,
    Workers,
    run_adapter,
)
from pipeline.commands.options import AsJson


def chestxray14(  # noqa: PLR0913  (the command's options)
    source: Source,
    out: Out,
    size: Annotated[int, typer.Option(min=16, help="Side that is stored, in pixels.")] = 256,
    original: Original = False,
    split: Annotated[
        Literal["lists", "patients"], typer.Option(help="The official lists, or a hash of the patient.")
    ] = "lists",
    test_percent: TestPercent = 20,
    shard_samples: PerShard = 1000,
    shard_bytes: ByteLimit = None,
    workers: Workers = None,
    endpoint_url: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """ChestX-ray14: X-rays with 14 findings, from images_*/images/, Data_Entry_2017[_v2020].csv and the lists."""
    from stages.datasets.chestxray14 import ChestXray14
    from stages.datasets.pictures import Stored

    pictures = Stored(original=original, size=size, gray=True)
    adapter = ChestXray14(source=source, pictures=pictures, split=split, test_percent=test_percent)
    run_adapter(adapter, Target(out, endpoint_url, shard_samples, shard_bytes, workers, as_json))
