"""From the configuration to the plan of each stage: only what decides its result."""

from __future__ import annotations

from functools import cached_property

from pipeline.state.generators import weights_sha256
from schemas.config import Config
from schemas.plans import IngestPlan, ProtectPlan, PublishPlan, ReportPlan, TrainPlan, VictimPlan
from schemas.training import Audit, Backbone


class Plans:
    """The plans of one configuration, each built once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ingest, self.report = ingest_plan(config), report_plan(config)
        self.publish = self.report.published

    @cached_property
    def train(self) -> TrainPlan:
        """Of the generator.

        Raises:
            ConfigError: a file of `train.weights` cannot be read.
        """
        return train_plan(self.config)

    def protect(self, generator: str = "") -> ProtectPlan:
        """Of the shards that a generator protects; `generator` is the `content` of its record."""
        return protect_plan(self.config, generator)


def ingest_plan(config: Config) -> IngestPlan:
    """Of the training table."""
    return IngestPlan(
        layout=config.dataset.layout,
        tasks=config.tasks,
        resolution=config.train.resolution,
    )


def audit_plan(config: Config, audit: Audit) -> IngestPlan:
    """Of a table that victims learn from or are tested on."""
    return IngestPlan(
        layout=config.dataset.layout,
        tasks=config.tasks,
        resolution=audit.resolution or config.train.resolution,
    )


def train_plan(config: Config) -> TrainPlan:
    """Of the generator.

    Raises:
        ConfigError: a file of `train.weights` cannot be read.
    """
    return TrainPlan(
        train=config.train.model_copy(update={"weights": {}}),
        tasks=config.tasks,
        protected=config.protected_tasks,
        epsilon=config.protection.epsilon,
        weights={name: weights_sha256(path) for name, path in config.train.weights.items()},
    )


def protect_plan(config: Config, generator: str = "") -> ProtectPlan:
    """Of the protected shards; `generator` is the `content` of its record, empty where only reading is planned."""
    return ProtectPlan(
        layout=config.dataset.layout,
        tasks=config.tasks,
        epsilon=config.protection.epsilon,
        encoding=config.protect.encoding,
        on_error=config.protect.on_error,
        output_format=config.protect.output_format,
        generator=generator,
    )


UNSEEN: tuple[Backbone, ...] = (
    "stride5",
    "plain",
    "vgg16",
    "resnet18",
    "densenet121",
    "vit_b_16",
)
"""Victims of `audit.victims: auto`, cheapest first; of those that no surrogate is like, the first three are trained."""

FINE: tuple[Backbone, ...] = ("unet", "dilated_resnet50")
"""Those that come before them where a task has a value per pixel: coarse maps would make a weak victim."""


def victims_of(config: Config, audit: Audit) -> list[Backbone]:
    """Architectures of the victims: those that no surrogate has first."""
    if audit.victims != "auto":
        return audit.victims
    known: list[Backbone] = config.train.surrogates or ["resnet18"]
    order = (*FINE, *UNSEEN) if any(task.per_pixel for task in config.tasks) else UNSEEN
    return [*[name for name in order if name not in known][:3], known[0]]


def victim_plans(config: Config, audit: Audit, data: str) -> list[VictimPlan]:
    """Of all victims on one version of the data: of every version the same, so that the best ones can be compared."""
    single = [task.name for task in config.tasks] if audit.stl and len(config.tasks) > 1 else []
    return [
        victim_plan(config, audit, data=data, backbone=backbone, learning_rate=rate, only=only, turn=turn)
        for turn in range(audit.seeds)
        for backbone in victims_of(config, audit)
        for rate in audit.learning_rates
        for only in [None, *single]
    ]


def victim_plan(
    config: Config,
    audit: Audit,
    *,
    data: str,
    backbone: Backbone,
    learning_rate: float,
    only: str | None = None,
    turn: int = 0,
) -> VictimPlan:
    """Of one victim on one version of the data; a single-task one (`only`) has nothing to weigh.

    `turn`: number of its seed, from 0.
    """
    return VictimPlan(
        tasks=config.tasks,
        data=data,
        backbone=backbone,
        width=audit.width,
        epochs=audit.epochs,
        batch_size=audit.batch_size,
        augment=config.train.augment,
        seed=config.train.seed + 1 + turn,
        learning_rate=learning_rate,
        weighting=audit.weighting if only is None else "ls",
        only=only,
        ends_early=data == "protected" and only is None,  # single-task victims are one attacker, epoch by epoch
    )


def publish_plan(config: Config) -> PublishPlan:
    """Of the public artefacts."""
    return PublishPlan(
        name=config.name,
        layout=config.dataset.layout,
        tasks=config.tasks,
        encoding=config.protect.encoding,
        bound=config.protection.bound,
        output_format=config.protect.output_format,
        published=config.published,
    )


def report_plan(config: Config) -> ReportPlan:
    """Of the private report."""
    shards = config.dataset.shards
    return ReportPlan(
        published=publish_plan(config),
        train=config.train,
        source=[shards] if isinstance(shards, str) else shards,
        output=config.output,
        work=config.work,
    )
