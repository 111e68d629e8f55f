"""Plan: what a run would do, how long it takes and how many bytes it writes, from a measured sample; writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.configuration.networks import check_networks
from pipeline.configuration.plans import ingest_plan, protect_plan, train_plan
from pipeline.driver.ingest import refuse_one_label
from pipeline.state.generators import fitting_generator
from pipeline.state.ledger import Ledger
from pipeline.state.owner import refuse_foreign
from pipeline.state.places import Places
from pipeline.state.written import refuse_strangers
from schemas.config import Config
from stages.estimate.estimate import estimate_shard
from stages.tasks.counts import label_doubts, label_lines


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    shards: int
    shards_done: int
    """Published under this configuration already."""
    input_bytes: int
    samples: int
    """Estimated from the first shard's samples per byte."""
    output_bytes: int
    """Estimated size of the protected shards still to be written."""
    growth: float
    """Bytes out for bytes in: lossless images are larger than JPEG."""
    train_seconds: float | None
    """None when a generator of this configuration exists."""
    protect_core_seconds: float
    """Download, decoding, generator, encoding and checks of the shards still to be done, on one core."""
    labels: list[str]
    """Of the first shard: each task or set, with its missing labels."""
    warnings: list[str]
    """What is odd about the first shard's labels."""


def make_plan(config: Config) -> Plan:
    """Measure a few images of the first shard and extrapolate.

    Raises:
        ConfigError, StoreError: as a run would, before it writes anything.
        InputError: the first shard holds no sample that can be protected.
    """
    check_networks(config)
    places = Places(config)
    ledger, published = Ledger(places.work), places.output.list()
    refuse_foreign(places)
    refuse_strangers(places, ledger, published)
    total = sum(ref.size for ref in places.shards)
    record = fitting_generator(places.work, train_plan(config))
    done = 0
    if record is not None:
        done = len(ledger.done(places.shards, protect_plan(config, record.content), published))
    first = places.shards[0]
    measured = estimate_shard(
        places.source,
        first,
        ingest_plan(config),
        protect_plan(config),
        train_plan(config),
        with_training=record is None,
    )
    if len(places.shards) == 1:
        refuse_one_label(config, [measured.profile])
    share = total / max(1, first.size)
    samples = round(measured.samples * share)
    left = 1 - done / len(places.shards)
    written = samples * measured.bytes
    passes = min(samples, config.train.max_samples) / max(1, measured.trained_samples)
    return Plan(
        shards=len(places.shards),
        shards_done=done,
        input_bytes=total,
        samples=samples,
        output_bytes=round(left * written),
        growth=written / max(1, total),
        train_seconds=measured.train_seconds * passes if record is None else None,
        protect_core_seconds=left * (samples * measured.core_seconds + share * measured.download_seconds),
        labels=label_lines(config.tasks, [measured.profile]),
        warnings=list(label_doubts(config.tasks, [measured.profile])),
    )
