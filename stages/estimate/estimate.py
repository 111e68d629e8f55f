"""Estimate: a few images of one shard are really decoded, perturbed and encoded, and a few steps are trained."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from schemas.config import Config
from schemas.errors import InputError
from schemas.plans import IngestPlan
from schemas.records import ShardRef
from stages.ingest.ingest import profile_shard
from stages.ingest.reading import ReadSample, read_decoded
from stages.io.images.codecs import decode_image, encode_image
from stages.io.shards.layout import image_member
from stages.io.store.store import Store
from stages.learning.table import ImageTable, open_table
from stages.models.generator import Generator
from stages.protect.protect import perturb_batch
from stages.train.train import train_generator

MEASURED_SAMPLES = 64
"""Images of the first shard that are really decoded, perturbed and encoded."""


TRIAL_SAMPLES = 256
"""Images of the first shard on which a few training steps are timed."""


@dataclass(frozen=True)
class _Measured:
    """What one shard showed."""

    samples: int
    """Samples of the shard that can be protected."""
    core_seconds: float
    """Per sample: decode twice, generator, encode, check."""
    added_bytes: float
    """Per sample: how much larger the protected image is."""
    download_seconds: float
    """Of the whole shard."""
    train_seconds: float
    """Of a whole training, for as many samples as the table of this shard has."""


def _measure(config: Config, source: Store, first: ShardRef, directory: Path, *, train: bool) -> _Measured:
    local, table = directory / "shard", directory / "table"
    started = time.monotonic()
    source.get(first.name, local)
    download = time.monotonic() - started
    plan = IngestPlan(
        dataset=config.dataset,
        tasks=config.tasks,
        resolution=config.train.resolution,
        samples_per_shard=TRIAL_SAMPLES,
    )
    profile = profile_shard(local, first.name, table, plan)
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
    generator = Generator(
        config.train.generator,
        class_counts=[task.class_count for task in config.tasks],
        protected=config.protected_tasks,
        resolution=config.train.resolution,
        epsilon=config.protection.epsilon,
    ).eval()
    perturb_batch(batch[:1], generator)  # the first call prepares kernels; it is not counted
    started = time.monotonic()
    images = [encode_image(pixels, config.protect.encoding) for pixels in perturb_batch(batch, generator)]
    for image in images:
        decode_image(image, max_pixels=config.dataset.max_pixels)
    work = time.monotonic() - started
    before = sum(len(image_member(found.sample, config.dataset).data) for found in batch)
    return _Measured(
        samples=profile.samples,
        core_seconds=(2 * decode + work) / len(batch),
        added_bytes=(sum(map(len, images)) - before) / len(batch),
        download_seconds=download,
        train_seconds=_train_seconds(config, open_table([table])) if train else 0.0,
    )


def _train_seconds(config: Config, table: ImageTable) -> float:
    """Seconds of a whole training on this table, from the marginal cost of one epoch of surrogate and of generator."""

    def trial(surrogate_epochs: int, epochs: int) -> float:
        trained = train_generator(
            table,
            config.train.model_copy(update={"epochs": epochs, "surrogate_epochs": surrogate_epochs}),
            class_counts=[task.class_count for task in config.tasks],
            protected=config.protected_tasks,
            epsilon=config.protection.epsilon,
            device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        )
        return trained.seconds

    trial(1, 1)  # the first call prepares kernels; it is not counted
    base = trial(1, 1)
    surrogate = max(0.0, trial(2, 1) - base) if config.train.method == "tap" else 0.0
    generator = max(0.0, trial(1, 2) - base)
    return surrogate * config.train.surrogate_epochs + generator * config.train.epochs
