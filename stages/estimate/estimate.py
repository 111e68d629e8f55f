"""Estimate: a few samples of one shard are really ingested and protected; nothing is published."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.errors import InputError
from schemas.plans import IngestPlan, ProtectPlan, TrainPlan, VictimPlan
from schemas.records import ShardProfile, ShardRef
from stages.estimate.training import train_seconds, victim_seconds
from stages.ingest.ingest import profile_shard
from stages.io.store.store import Store
from stages.learning.table import open_table
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import network_of
from stages.protect.protect import write_protected
from stages.protect.validate import validate_shard
from stages.tasks.registry import fitted_tasks, kinds_of

MEASURED_SAMPLES = 64
"""Samples of the shard that are really protected and checked."""

TRIAL_SAMPLES = 256
"""Images of the shard on which steps of trainings are timed."""


@dataclass(frozen=True)
class Trainings:
    """What is still to be trained, and on how many images."""

    train: TrainPlan
    train_samples: int
    """Images of the training; 0: the generator is there."""
    victims: list[VictimPlan]
    """Of an audit; empty: there is none, or its evidence is there."""
    audit: IngestPlan
    """Of the tables of victims."""
    victim_samples: int
    """Images that a victim learns from."""
    tested_samples: int
    """Images that a victim is tested on after each epoch."""


@dataclass(frozen=True)
class Estimate:
    """What one shard showed."""

    samples: int
    """Samples of the shard that can be protected."""
    ingest_seconds: float
    """Per sample: decoding, profile and table, on one core."""
    core_seconds: float
    """Per sample, of protection: everything but the download, on one core."""
    bytes: float
    """Per sample, in the protected shard."""
    download_seconds: float
    """Of the whole shard."""
    train_seconds: float
    """Of a whole training; 0 where there is none."""
    victim_seconds: float
    """Of all victims, one after the other."""
    profile: ShardProfile
    """Of the shard."""


def estimate_shard(
    source: Store, ref: ShardRef, ingest: IngestPlan, protect: ProtectPlan, trainings: Trainings
) -> Estimate:
    """Protect a few samples of a shard with an untrained generator, and time a few steps of each training.

    Raises:
        InputError: the shard has no sample that can be protected.
    """
    train = trainings.train
    with TemporaryDirectory(prefix="mtlue-estimate-") as directory:
        local, table, seen, protected = (Path(directory, name) for name in ("shard", "table", "seen", "protected.tar"))
        started = time.monotonic()
        source.get(ref.name, local, etag=ref.etag)
        download, started = time.monotonic() - started, time.process_time()
        profile = profile_shard(local, ref.name, table, ingest, TRIAL_SAMPLES)
        if not profile.samples:
            raise InputError(f"shard {ref.name}: no sample can be protected; run `mtlue run` for the reasons")
        reading = (time.process_time() - started) / profile.samples
        images = open_table([table], kinds_of(train.tasks))
        train = train.model_copy(update={"tasks": fitted_tasks(train.tasks, images.labels)})
        perturber = GeneratorPerturber(network_of(train.spec).eval(), "untrained")
        write_protected(local, ref.name, protected, protect, perturber, limit=1)  # prepares kernels; not counted
        started = time.process_time()
        written = write_protected(local, ref.name, protected, protect, perturber, limit=MEASURED_SAMPLES)
        validate_shard(
            local,
            ref.name,
            protected,
            protect.layout,
            epsilon=protect.epsilon,
            encoding=protect.encoding,
            tasks=protect.tasks,
        )
        work = time.process_time() - started
        victims = 0.0
        if trainings.victims:
            profile_shard(local, ref.name, seen, trainings.audit, TRIAL_SAMPLES)
            audited = open_table([seen], kinds_of(train.tasks))
            victims = victim_seconds(audited, trainings.victims, trainings.victim_samples, trainings.tested_samples)
        return Estimate(
            samples=profile.samples,
            ingest_seconds=reading,
            core_seconds=work / max(1, written.samples),
            bytes=protected.stat().st_size / max(1, written.samples),
            download_seconds=download,
            train_seconds=train_seconds(images, train, trainings.train_samples) if trainings.train_samples else 0.0,
            victim_seconds=victims,
            profile=profile,
        )
