"""Plans: what decides the result of a stage, frozen. A stage's plan is its argument and its fingerprint.

A value that is its field's default is left out of the fingerprint, so a new key with a default changes none that exist.
Whoever changes a default, or what a stage does with a plan, raises that plan's `version`: tests hold all defaults.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.config import OutputFormat
from schemas.dataset import Layout
from schemas.model import Model, fingerprint
from schemas.plugins import COUNTERMEASURES, PERTURBERS, TASKS, WEIGHTINGS, version_of
from schemas.published import Published
from schemas.tasks import AnyTask
from schemas.training import CountermeasureName, Train, WeightingName


class Plan(Model):
    """Base of every plan."""

    version: ClassVar[int] = 1
    """Grows when the same plan gives another result."""

    apart: ClassVar[frozenset[str]] = frozenset()
    """Fields that are no part of the fingerprint: they say how a result is reached, and not which."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything that decides the result."""
        return fingerprint(self._parts)

    @property
    def _parts(self) -> list[Any]:
        plugins = [found for task in getattr(self, "tasks", []) for found in version_of(TASKS, task.kind)]
        values = self.model_dump(mode="json", exclude_defaults=True, exclude=set(self.apart))
        return [type(self).__name__, self.version, values, *plugins]


class Noise(Model):
    """Uniform integer noise in [-B, B], the control that any protection must beat."""

    kind: Literal["noise"] = "noise"
    epsilon: float
    """ε in [0, 1] units."""
    seed: int = 0


class IngestPlan(Plan):
    """What ingest does to each shard, whatever other shards there are."""

    version: ClassVar[int] = 3
    """3: samples whose members stand apart are left out; members without a key end no sample. A PNG with large or
    damaged text is read, a camera's raw file is refused. 2: tables have the hashes of keys. The number of samples is
    not part of the plan."""

    layout: Layout
    tasks: list[AnyTask]
    resolution: int
    """Side of the images in the table, in pixels."""
    transforms: list[Noise] = Field(default_factory=list)
    """Applied to each image, in order, at its own resolution, before it is brought to `resolution`."""


class GeneratorSpec(Plan):
    """The network of a perturber, without its weights."""

    version: ClassVar[int] = 2
    """2: textures of dense tasks have no mean, and those of several have pixels of their own."""

    network: str = "generator"
    """A perturber (`PerturberName` in schemas/perturbers.py)."""
    preset: str = ""
    """Widths of encoder, embeddings and decoder; empty where there are none."""
    resolution: int
    """R in pixels."""
    epsilon: float
    """ε in [0, 1] units."""
    tasks: list[AnyTask]
    """K tasks; each kind has its own embedding of labels."""
    protected: list[bool]
    """Per task, whether it becomes unlearnable."""
    backbones: list[str] = Field(default_factory=list)
    """Architectures of surrogates that the perturber needs even when it computes δ; empty where there are none."""
    width: int = 0
    """Channels of their first stage."""
    copies: int = 1
    """Snapshots of each of them."""
    targeted: bool = True
    """Whether they are to see another class, or only not the image's own."""
    achromatic: bool = False
    """Whether δ has the same value in every channel."""
    cell: int = 1
    """Side in pixels of the squares in which δ has one value."""
    balanced: bool = False
    """Whether the labels' share of the decoder's input is at least the image's. False only for a `generator` of an
    earlier version, which had another network."""


class TrainPlan(Plan):
    """What decides a generator, besides the training data."""

    version: ClassVar[int] = 4
    """4: fresh networks learn longer where there are more than three tasks. 3: textures of dense tasks have no mean and
    pixels of their own. 2: class codes by default, and EM as the default of a generator."""

    train: Train
    tasks: list[AnyTask]
    protected: list[bool]
    """Per task, whether it becomes unlearnable."""
    epsilon: float
    """ε in [0, 1] units."""
    generator_version: ClassVar[int] = 2
    """Part of the fingerprint of a `generator`, and of no other perturber. 2: the labels' share of the decoder's input
    is at least the image's."""

    weights: dict[str, str] = Field(default_factory=dict)
    """Architecture → SHA-256 of the file that its surrogate starts from; where the file lies is no part of the plan."""

    @property
    def _parts(self) -> list[Any]:
        generator = [self.generator_version] if self.train.preset else []
        plugins = [*version_of(PERTURBERS, self.train.perturber), *version_of(WEIGHTINGS, self.train.weighting)]
        return [*super()._parts, *generator, *plugins]

    def reseeded(self, nonce: str) -> TrainPlan:
        """The same training from another seed, which follows from this one and a nonce; without a nonce this plan."""
        if not nonce:
            return self
        seed = int(fingerprint([self.train.seed, nonce]), 16) >> 1  # torch takes 63 bits
        return self.model_copy(update={"train": self.train.model_copy(update={"seed": seed})})

    @property
    def spec(self) -> GeneratorSpec:
        """The network that is trained."""
        return GeneratorSpec(
            network=self.train.perturber,
            preset=self.train.preset,
            resolution=self.train.resolution,
            epsilon=self.epsilon,
            tasks=self.tasks,
            protected=self.protected,
            achromatic=self.train.achromatic,
            cell=self.train.cell,
            balanced=bool(self.train.preset),
            **self.train.kept_surrogates,
        )


class ProtectPlan(Plan):
    """What decides a protected shard's bytes, besides the input shard."""

    version: ClassVar[int] = 3
    """3: the same pixels in a PNG of another encoder. 2: samples whose members stand apart are left out; members
    without a key end no sample. A PNG with large or damaged text is read, a camera's raw file is refused."""

    layout: Layout
    tasks: list[AnyTask]
    epsilon: float
    """ε in [0, 1] units."""
    encoding: Literal["png", "webp"]
    on_error: Literal["quarantine", "fail"]
    generator: str
    """SHA-256 of the generator's weights and specification: the same plan always adds the same δ."""
    output_format: OutputFormat = "tar"
    """What a published shard is."""


class VictimPlan(Plan):
    """What decides a victim, besides the tables that it learns from and is tested on."""

    version: ClassVar[int] = 2
    """2: labels with a value per pixel move with the windows of jitter and the boxes of CutMix."""

    tasks: list[AnyTask]
    data: str
    """Version of the training data, for the record: `clean`, `noise`, `protected`."""
    backbone: str
    width: int
    """Channels of the backbone's first stage."""
    epochs: int
    batch_size: int
    augment: list[Literal["crop", "flip"]]
    seed: int
    learning_rate: float = 1e-3
    """Of Adam."""
    weighting: WeightingName = "ls"
    """Task weighting."""
    only: str | None = None
    """Name of the one task that a single-task victim learns; None: all of them."""
    countermeasure: CountermeasureName = "none"
    """What the attacker does against a protection."""
    second: TrainPlan | None = None
    """How the second generator is trained, whose copies the attacker has as well; None: there are no copies."""
    weights: str = ""
    """SHA-256 of the file that the backbone starts from; empty: random weights."""

    ends_early: bool = False
    """Whether its training ends once it knows its images by heart and is at chance on clean ones
    (`stages/audit/train_victim.py`), which changes no verdict."""

    apart: ClassVar[frozenset[str]] = frozenset({"ends_early"})

    countermeasure_versions: ClassVar[dict[str, int]] = {"adversarial4": 2, "adversarial8": 2}
    """Versions of countermeasures whose results have changed; part of the fingerprints of their victims alone. 2: the
    radius grows over the first third; the attack takes 3 steps and sees the victim in evaluation mode."""

    @property
    def _parts(self) -> list[Any]:
        version = self.countermeasure_versions.get(self.countermeasure)
        plugins = [*version_of(COUNTERMEASURES, self.countermeasure), *version_of(WEIGHTINGS, self.weighting)]
        return [*super()._parts, *([version] if version else []), *plugins]


class PublishPlan(Plan):
    """What the public artefacts say of a dataset, besides what was published; nothing private is in it."""

    name: str
    layout: Layout
    tasks: list[AnyTask]
    encoding: Literal["png", "webp"]
    bound: int
    """B in levels of 255."""
    output_format: OutputFormat = "tar"
    published: Published = Published()
    """Licence, version, citation."""


class ReportPlan(Plan):
    """What the private report says of a run's configuration."""

    published: PublishPlan
    train: Train
    source: list[str]
    """Patterns of the input shards."""
    output: str
    work: str
