"""Estimate: a few images and a few steps are measured, so that a plan can say time and bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from schemas.errors import InputError
from schemas.plans import IngestPlan, ProtectPlan, TrainPlan, VictimPlan
from schemas.records import ShardProfile, ShardRef
from stages.audit.train_victim import train_victim
from stages.countermeasures.registry import COUNTERMEASURES
from stages.ingest.ingest import profile_shard
from stages.io.store.store import Store
from stages.learning.optimise import clock, threads
from stages.learning.table import ImageTable, open_table
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import PERTURBERS, network_of
from stages.protect.protect import write_protected
from stages.tasks.kinds import fitted_tasks, kinds_of

MEASURED_SAMPLES = 64
"""Samples of the shard that are really protected and checked."""

TRIAL_SAMPLES = 256
"""Images of the shard on which steps of a training are timed."""

VICTIM_SAMPLES = 128
"""Images of the shard on which victims are timed: a step of the usual batch."""


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
        local, table, seen = (Path(directory, name) for name in ("shard", "table", "seen"))
        protected = Path(directory, f"protected.{protect.output_format}")
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
        written.receipt.check(protected, ref.name, protect.layout)
        work = time.process_time() - started
        victims = 0.0
        if trainings.victims:
            profile_shard(local, ref.name, seen, trainings.audit, VICTIM_SAMPLES)
            audited = open_table([seen], kinds_of(train.tasks))
            victims = victim_seconds(audited, trainings.victims, trainings.victim_samples, trainings.tested_samples)
        return Estimate(
            samples=profile.samples,
            ingest_seconds=reading,
            core_seconds=work / max(1, written.samples),
            bytes=protected.stat().st_size / max(1, written.samples),
            download_seconds=download,
            train_seconds=train_seconds(images, train, trainings.train_samples, _device())
            if trainings.train_samples
            else 0.0,
            victim_seconds=victims,
            profile=profile,
        )


TIMED_EPOCHS = 2
"""Epochs of a victim that are timed."""

TESTED = 1 / 3
"""Cost of an image that a network only looks at, to one that it learns from."""


def victim_seconds(table: ImageTable, plans: Sequence[VictimPlan], samples: int, tested: int) -> float:
    """Seconds of all victims one after the other, each on one thread.

    Args:
        table: a few real images.
        plans: of the victims.
        samples: images that each learns from.
        tested: images that it is tested on after each epoch.
    """
    rates: dict[tuple[str, int, int], float] = {}
    total = 0.0
    for plan in plans:
        key = (plan.backbone, plan.width, plan.batch_size)
        if key not in rates:
            rates[key] = _image_seconds(table, plan)
        cost = COUNTERMEASURES[plan.countermeasure].cost
        total += cost * plan.epochs * (samples + TESTED * tested) * rates[key]
    return total


def _image_seconds(table: ImageTable, plan: VictimPlan) -> float:
    """Of one image that a victim learns from, by some epochs on the table after one that prepares kernels."""
    plain = plan.model_copy(
        update={"countermeasure": "none", "second": None, "weights": "", "only": None, "ends_early": False}
    )

    marks: list[float] = []
    with threads(1):
        longer = plain.model_copy(update={"epochs": 1 + TIMED_EPOCHS})
        train_victim(table, table, longer, _device(), after_epoch=lambda: marks.append(clock()))
    return max(0.0, marks[-1] - marks[0]) / (TIMED_EPOCHS * (1 + TESTED) * max(1, len(table)))


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_seconds(table: ImageTable, plan: TrainPlan, samples: int, device: torch.device) -> float:
    """Seconds of a whole training.

    Args:
        table: a few real images.
        plan: of the training.
        samples: images of the training itself.
        device: where it would run.
    """
    own = PERTURBERS[plan.train.perturber].whole_training
    if own is not None:
        return own(table, plan, device)
    return _passes_seconds(table, plan, device) * samples / max(1, len(table))


def _passes_seconds(table: ImageTable, plan: TrainPlan, device: torch.device) -> float:
    """Of a whole training on this table, from the marginal cost of one more pass of each of its phases."""
    making = PERTURBERS[plan.train.perturber]
    phases = making.phases(plan.train)

    def trial(longer: str = "") -> float:
        passes = {phase.setting: 2 if phase.setting == longer else 1 for phase in phases}
        shorter = plan.model_copy(update={"train": plan.train.model_copy(update=passes)})
        started = clock()
        making.train(table, shorter, device)
        return clock() - started

    trial()  # the first one prepares kernels; it is not counted
    base = trial()
    return sum(max(0.0, trial(phase.setting) - base) * float(getattr(plan.train, phase.setting)) for phase in phases)
