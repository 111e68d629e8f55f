"""What the stages hand on and what is stored: small frozen records, written as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.config import OutputFormat
from schemas.errors import AccessError, MtlueError, NoWriteAccessError, SampleError, location
from schemas.model import fingerprint
from schemas.plans import GeneratorSpec
from schemas.stats import Histogram, Moments


class Record(BaseModel):
    """Base of every record: frozen, unknown keys refused; infinities survive JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


def shard_stem(name: str) -> str:
    """What an input shard and its published one have in common: the name without `.tar` or `.parquet`."""
    return name.removesuffix(".parquet").removesuffix(".tar")


class ShardRef(Record):
    """One input shard as the listing shows it."""

    name: str
    """Path below the common root of the inputs; the output shard has the same, with the ending of its format."""
    url: str
    size: int
    """Bytes."""
    etag: str
    """The store's etag; modification time in ns on a local disk. Changes when the content does."""
    output_format: OutputFormat = "tar"
    """What the protected shard is."""

    @property
    def output_name(self) -> str:
        """Name of the protected shard below `output`."""
        return f"{shard_stem(self.name)}.{self.output_format}"


class Quarantined(Record):
    """A sample that was left out, and why."""

    shard: str
    key: str
    reason: str
    """Short word, such as `corrupt-image`."""
    message: str
    """What was found and what to do; begins with the names of shard and sample."""

    @classmethod
    def of(cls, error: SampleError, *, shard: str, key: str) -> Self:
        """The record of a sample's error."""
        return cls(shard=shard, key=key, reason=error.reason, message=error.at(shard=shard, key=key).message)

    @property
    def problem(self) -> str:
        """The message without the names of shard and sample."""
        return self.message.removeprefix(location(self.shard, self.key))


def once_each(samples: Iterable[Quarantined]) -> list[Quarantined]:
    """Every sample and reason once, by shard and key; the first one found stays.

    Protecting meets again what ingest has met. A shard counts as the same under its input's and its output's name: no
    two inputs have one stem.
    """
    seen: dict[tuple[str, str, str], Quarantined] = {}
    for sample in samples:
        seen.setdefault((shard_stem(sample.shard), sample.key, sample.reason), sample)
    return [seen[place] for place in sorted(seen)]


class ShardProfile(Record):
    """What ingest learned of one shard."""

    name: str
    samples: int
    """Samples that can be protected."""
    bytes: int
    sha256: str
    """Of the input's bytes."""
    modes: dict[str, int]
    """Samples by image mode (`RGB`, `L`, `RGBA`, `I;16`, …)."""
    height: Moments
    """Pixels."""
    width: Moments
    """Pixels."""
    histograms: dict[str, list[int]]
    """Task → samples (or pixels) of each class; none where it has no classes."""
    values: dict[str, Histogram] = Field(default_factory=dict)
    """Task → its numbers, where it has no classes."""
    missing: dict[str, int]
    """Task → samples without a label."""
    rotated: int = 0
    """Samples whose EXIF asks for a rotation; pixels are published as stored, without it."""
    fields: list[str] = Field(default_factory=list)
    """Member fields and JSON keys seen, for error messages."""
    members: list[str] = Field(default_factory=list)
    """Names of the members of a tar's samples, the first 200; none of a Parquet file, whose columns differ."""
    quarantined: list[Quarantined] = Field(default_factory=list)
    strays: int = 0
    """Members of a tar that belong to no sample, since they have no key (`.DS_Store`); they are not published."""
    first_stray: str = ""
    """Name of the first of them."""
    brightness: Moments = Moments()
    """Mean of each image in the training cache, in levels of 255."""
    cached: int = 0
    """Samples in the training cache."""
    limit: int = 0
    """Samples that it might have held at most; larger shards keep those whose keys come first by hash."""
    cache: str = ""
    """URL of the Arrow file; empty when none of the shard's samples is cached."""

    def labelled(self, task: str) -> int:
        """Samples with a label of a task."""
        return self.samples - self.missing.get(task, 0)

    def keeps(self, samples: int) -> bool:
        """Whether the cache holds the first `samples` of the shard, or all that there are."""
        return self.limit >= samples or self.cached == self.samples


class GeneratorRecord(Record):
    """A trained generator: the JSON beside its safetensors."""

    fingerprint: str
    """Of plan and training data."""
    plan: str
    """Fingerprint of the plan alone: another plan means another generator."""
    spec: GeneratorSpec
    """The network."""
    nonce: str = ""
    """What a retraining adds to the seed; empty for the first training of a plan."""
    sha256: str
    """Of the safetensors file, whose name it is."""
    samples: int
    steps: int
    seconds: float
    losses: list[dict[str, float]] = Field(default_factory=list)
    """Mean of each loss term per epoch."""
    explained: float | None = None
    """Share of δ's variance that the labels explain, over training images; None: not measured
    (`stages/perturbers/generator/explained.py`)."""

    @property
    def content(self) -> str:
        """Fingerprint of network and weights: two generators of one content add the same δ."""
        return fingerprint([self.spec.fingerprint, self.sha256])


class ShardRecord(Record):
    """The ledger's entry: one shard was protected, checked and published. Written last."""

    identity: str
    """Hash of input name, size, etag, the configuration part that matters, generator and format version."""
    name: str
    """Output name."""
    source_sha256: str
    sha256: str
    """Of the published bytes."""
    bytes: int
    samples: int
    labelled: dict[str, int] = Field(default_factory=dict)
    """Task → samples with a label."""
    max_delta: int
    """Largest |Δ| on decoded pixels, in levels of 255 (16-bit images: in units of 257)."""
    psnr: Moments
    """dB, over samples."""
    delta: Moments
    """Mean |Δ| of each sample, in levels."""
    quarantined: list[Quarantined] = Field(default_factory=list)
    seconds: float = 0.0


class ShardFailure(Record):
    """A shard that could not be processed; the others went on."""

    name: str
    stage: str
    error: str
    """Class of the error."""
    message: str
    """What was found and what to do; begins with the shard's name."""


class LeftOut(Record):
    """`left-out.json` in the private place: what was not published, and why."""

    quarantined: list[Quarantined]
    failures: list[ShardFailure]
    empty: list[str] = Field(default_factory=list)
    """Input shards without a sample that can be published."""
    withdrawn: list[str] = Field(default_factory=list)
    """Published shards that have no input any more, but are public still."""
    passed_by: list[str] = Field(default_factory=list)
    """What was not read, though it lies where the data lies: a sentence for each kind."""


class ManifestShard(Record):
    """One published shard."""

    name: str
    bytes: int
    sha256: str
    samples: int


class Manifest(Record):
    """`manifest.json` of the public place: what was published, to be checked by anybody."""

    format: str = "mtlue-manifest-1"
    name: str
    samples: int
    bytes: int
    shards: list[ManifestShard]


def failure_of(name: str, stage: str, error: MtlueError) -> ShardFailure:
    """The record of a shard that could not be processed; its message names the shard."""
    return ShardFailure(name=name, stage=stage, error=type(error).__name__, message=error.at(shard=name).message)


def kind_of(failures: Sequence[ShardFailure], otherwise: type[MtlueError]) -> type[MtlueError]:
    """AccessError where every shard failed for want of credentials or rights: its exit code says so."""
    access = {AccessError.__name__, NoWriteAccessError.__name__}
    return AccessError if {failure.error for failure in failures} <= access else otherwise
