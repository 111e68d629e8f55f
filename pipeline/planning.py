"""Plan: what a run would do, how long it takes and how many bytes it writes, from a measured sample; writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pipeline.ledger import Ledger, identity_of
from pipeline.places import GENERATOR, Places
from schemas.config import Config
from schemas.errors import InputError
from schemas.records import GeneratorRecord
from stages.ingest import IngestPlan, profile_shard
from stages.io.codecs import decode_image, encode_image
from stages.io.samples import image_member
from stages.models.generator import Generator
from stages.protect import perturb_batch
from stages.reading import ReadSample, read_decoded
from stages.table import open_table
from stages.train import train_generator

MEASURED_SAMPLES = 64
"""Images of the first shard that are really decoded, perturbed and encoded."""


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
    train_seconds: float
    """0 when a generator of this configuration exists."""
    protect_core_seconds: float
    """Download, decoding, generator, encoding and checks of the shards still to be done, on one core."""


def _timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def make_plan(config: Config) -> Plan:
    """Measure a few images of the first shard and extrapolate.

    Raises:
        ConfigError, StoreError: as a run would, before it writes anything.
        InputError: the first shard holds no sample that can be protected.
    """
    places = Places(config)
    total = sum(ref.size for ref in places.shards)
    record = None
    if places.work.stat(GENERATOR) is not None:
        record = GeneratorRecord.model_validate_json(places.work.read(GENERATOR))
    done = 0
    if record is not None:
        known = Ledger(places.work).identities()
        done = sum(identity_of(ref, config, record) in known for ref in places.shards)
    first = places.shards[0]
    with TemporaryDirectory(prefix="mtlue-plan-") as directory:
        local = Path(directory, "shard")
        started = time.monotonic()
        places.source.get(first.name, local)
        download = time.monotonic() - started
        profile_plan = IngestPlan(
            dataset=config.dataset, tasks=config.tasks, resolution=config.train.resolution, samples_per_shard=256
        )
        table_path = Path(directory, "table")
        profile = profile_shard(local, first.name, table_path, profile_plan)
        decoded = (
            found
            for _, found in read_decoded(local, first.name, config.dataset, config.tasks)
            if isinstance(found, ReadSample)
        )
        started = time.monotonic()
        batch = list(islice(decoded, MEASURED_SAMPLES))
        decode = time.monotonic() - started
        if not batch:
            raise InputError(f"shard {first.name}: no sample can be protected; run `mtlue run` for the reasons")
        counts = [task.class_count for task in config.tasks]
        generator = Generator(
            config.train.generator,
            class_counts=counts,
            protected=config.protected_tasks,
            resolution=config.train.resolution,
            epsilon=config.protection.epsilon,
        ).eval()
        started = time.monotonic()
        images = [encode_image(pixels, config.protect.encoding) for pixels in perturb_batch(batch, generator)]
        work = time.monotonic() - started
        check = _timed(lambda: [decode_image(image, max_pixels=config.dataset.max_pixels) for image in images])
        raw = sum(len(member.data) for sample in batch for member in sample.sample.members)
        new = raw + sum(map(len, images)) - sum(_image_bytes(sample, config) for sample in batch)
        train_seconds = 0.0
        if record is None:
            table = open_table([table_path])
            quick = config.train.model_copy(update={"epochs": 1, "surrogate_epochs": 1})
            trial = train_generator(
                table,
                quick,
                class_counts=counts,
                protected=config.protected_tasks,
                epsilon=config.protection.epsilon,
                device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
            )
    share = total / max(1, first.size)
    samples = round(profile.samples * share)
    left = 1 - done / len(places.shards)
    per_sample = (2 * decode + work + check) / len(batch)
    if record is None:
        passes = min(samples, config.train.max_samples) / max(1, len(table))
        train_seconds = trial.seconds * passes * config.train.epochs
    return Plan(
        shards=len(places.shards),
        shards_done=done,
        input_bytes=total,
        samples=samples,
        output_bytes=round(left * total * new / max(1, raw)),
        growth=new / max(1, raw),
        train_seconds=train_seconds,
        protect_core_seconds=left * (samples * per_sample + share * download),
    )


def _image_bytes(sample: ReadSample, config: Config) -> int:
    return len(image_member(sample.sample, config.dataset).data)
