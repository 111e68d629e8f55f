"""`mtlue import utkface`."""

from __future__ import annotations

from typing import Annotated

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


def utkface(
    source: Source,
    out: Out,
    size: Annotated[int, typer.Option(min=16, help="Side that is stored, in pixels.")] = 140,
    original: Original = False,
    test_percent: TestPercent = 20,
    shard_samples: PerShard = 1000,
    shard_bytes: ByteLimit = None,
    workers: Workers = None,
    endpoint_url: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """UTKFace: faces with age (value and nine groups), gender and race, from age_gender_race_date.jpg[.chip.jpg]."""
    from stages.datasets.pictures import Stored
    from stages.datasets.utkface import UTKFace

    adapter = UTKFace(source=source, pictures=Stored(original=original, size=size), test_percent=test_percent)
    run_adapter(adapter, Target(out, endpoint_url, shard_samples, shard_bytes, workers, as_json))
