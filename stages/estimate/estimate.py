"""Estimate: a few samples of one shard are really protected, and a few passes of training run; nothing is published."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from schemas.errors import InputError
from schemas.plans import IngestPlan, ProtectPlan, TrainPlan
from schemas.records import ShardProfile, ShardRef
from stages.ingest.ingest import profile_shard
from stages.io.store.store import Store
from stages.learning.table import ImageTable, open_table
from stages.perturbers.generator import GeneratorPerturber
from stages.perturbers.registry import network_of
from stages.protect.protect import write_protected
from stages.protect.validate import validate_shard
from stages.tasks.registry import fitted_tasks, kinds_of
from stages.train.registry import MAKINGS

MEASURED_SAMPLES = 64
"""Samples of the shard that are really protected and checked."""

TRIAL_SAMPLES = 256
"""Images of the shard on which a few passes of training are timed."""


@dataclass(frozen=True)
class Estimate:
    """What one shard showed."""

    samples: int
    """Samples of the shard that can be protected."""
    core_seconds: float
    """Per sample: everything but the download, on one core."""
    bytes: float
    """Per sample, in the protected shard."""
    download_seconds: float
    """Of the whole shard."""
    train_seconds: float
    """Of a whole training on `trained_samples` images; 0 when it was not asked for."""
    trained_samples: int
    profile: ShardProfile
    """Of the shard."""


def estimate_shard(
    source: Store, ref: ShardRef, ingest: IngestPlan, protect: ProtectPlan, train: TrainPlan, *, with_training: bool
) -> Estimate:
    """Protect a few samples of a shard with an untrained generator, and time a few passes of training.

    Raises:
        InputError: the shard holds no sample that can be protected.
    """
    with TemporaryDirectory(prefix="mtlue-estimate-") as directory:
        local, table, protected = (Path(directory, name) for name in ("shard", "table", "protected.tar"))
        started = time.monotonic()
        source.get(ref.name, local, etag=ref.etag)
        download = time.monotonic() - started
        profile = profile_shard(local, ref.name, table, ingest, TRIAL_SAMPLES)
        if not profile.samples:
            raise InputError(f"shard {ref.name}: no sample can be protected; run `mtlue run` for the reasons")
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
        return Estimate(
            samples=profile.samples,
            core_seconds=work / max(1, written.samples),
            bytes=protected.stat().st_size / max(1, written.samples),
            download_seconds=download,
            train_seconds=_train_seconds(images, train) if with_training else 0.0,
            trained_samples=len(images),
            profile=profile,
        )


def _train_seconds(table: ImageTable, plan: TrainPlan) -> float:
    """Seconds of a whole training on this table, from the marginal cost of one more pass of each of its phases."""
    making = MAKINGS[plan.train.perturber]
    phases = making.phases(plan.train)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def trial(longer: str = "") -> float:
        passes = {phase.setting: 2 if phase.setting == longer else 1 for phase in phases}
        shorter = plan.model_copy(update={"train": plan.train.model_copy(update=passes)})
        return making.train(table, shorter, device).seconds

    trial()  # the first one prepares kernels; it is not counted
    base = trial()
    return sum(max(0.0, trial(phase.setting) - base) * float(getattr(plan.train, phase.setting)) for phase in phases)
