"""From the configuration to the plan of each stage: only what decides its result."""

from __future__ import annotations

from schemas.config import Audit, Config
from schemas.plans import IngestPlan, ProtectPlan, TrainPlan, VictimPlan


def ingest_plan(config: Config, *, shards: int) -> IngestPlan:
    """Of the training table: canonical resolution, all shards evenly."""
    return IngestPlan(
        layout=config.dataset.layout,
        tasks=config.tasks,
        resolution=config.train.resolution,
        samples_per_shard=-(-config.train.max_samples // max(1, shards)),
    )


def audit_plan(config: Config, audit: Audit, *, shards: int) -> IngestPlan:
    """Of a table that victims learn from or are tested on."""
    return IngestPlan(
        layout=config.dataset.layout,
        tasks=config.tasks,
        resolution=audit.resolution or config.train.resolution,
        samples_per_shard=-(-audit.max_samples // max(1, shards)),
    )


def train_plan(config: Config) -> TrainPlan:
    """Of the generator."""
    return TrainPlan(
        train=config.train,
        tasks=config.tasks,
        protected=config.protected_tasks,
        epsilon=config.protection.epsilon,
    )


def protect_plan(config: Config, generator: str = "") -> ProtectPlan:
    """Of the protected shards; `generator` is the `content` of its record, empty where only reading is planned."""
    return ProtectPlan(
        layout=config.dataset.layout,
        tasks=config.tasks,
        epsilon=config.protection.epsilon,
        encoding=config.protect.encoding,
        on_error=config.protect.on_error,
        generator=generator,
    )


def victim_plan(
    config: Config, audit: Audit, *, data: str, backbone: str, seed: int, only: str | None = None
) -> VictimPlan:
    """Of one victim on one version of the data; a single-task one (`only`) has nothing to weigh."""
    return VictimPlan(
        tasks=config.tasks,
        data=data,
        backbone=backbone,
        width=audit.width,
        epochs=audit.epochs,
        batch_size=audit.batch_size,
        augment=config.train.augment,
        seed=seed,
        weighting=audit.weighting if only is None else "ls",
        only=only,
    )
