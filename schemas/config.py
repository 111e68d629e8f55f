"""The configuration: the whole of `pipeline.yaml`, checked before anything is started."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator, model_validator

from schemas.model import Model
from schemas.protection import Protection, Withstood, chosen_training, reasons, with_rounds
from schemas.published import Published
from schemas.tasks import AnyTask
from schemas.training import Audit, Train

Patterns = (
    Annotated[str, Field(min_length=1)] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
)
"""Shards: a URL, brace range, glob or prefix, or a list of them."""


class Storage(Model):
    """How an object store is reached. Credentials come from the environment only."""

    endpoint_url: str | None = None
    """Endpoint of an S3-compatible store; used for every s3:// URL of the configuration. None: the provider's own."""

    anon: bool = False
    """Read the dataset without credentials (public buckets). Never applied to `output` and `work`."""


def _json_member(name: str) -> str:
    """The JSON member that a dotted name leads into; the name itself where it leads into none.

    >>> _json_member("json.meta.exif"), _json_member("seg.png")
    ('json', 'seg.png')
    """
    head, found, _ = f".{name}.".partition(".json.")
    return f"{head}.json".lstrip(".") if found else name


class Layout(Model):
    """How a sample is laid out: which member is the image, and what becomes of the others."""

    image: str = "jpg;jpeg;png;webp"
    """Member (or Parquet column) to protect; alternatives separated by `;`, exactly one of them in each sample."""

    members: dict[str, Literal["keep", "drop"]] = Field(default_factory=dict)
    """What happens to every other member. Undeclared: an image and unknown bytes are refused; text is kept. Text and
    JSON, kept or undeclared, are refused when they hold an image or lead to one (base64, numbers of pixels, `url`,
    `sha256`, `exif`). A dotted name means a key in JSON or a field of a Parquet struct: `json.imageData: drop`,
    `json.url: keep`. `txt.*: keep` means all of a text."""

    max_pixels: int = Field(default=64 * 2**20, gt=0)
    """Largest H·W that is decoded, in pixels; a larger image is quarantined as a decompression bomb."""

    @property
    def image_fields(self) -> tuple[str, ...]:
        """The alternatives of `image`."""
        return tuple(field.strip().lstrip(".") for field in self.image.split(";") if field.strip())

    @field_validator("members")
    @classmethod
    def _keys_of_kept_members(cls, members: dict[str, Literal["keep", "drop"]]) -> dict[str, Literal["keep", "drop"]]:
        for name, what in members.items():
            if name.endswith(".*") and what == "drop":
                raise ValueError(f"`{name}: drop` means the whole member; write `{name[:-2]}: drop`")
            whole = _json_member(name)
            if whole != name and members.get(whole) == "drop":
                raise ValueError(f"{name!r} is a key of {whole!r}, which is dropped as a whole; take one of them out")
        return members

    @field_validator("image")
    @classmethod
    def _some_image(cls, value: str) -> str:
        if not any(part.strip() for part in value.split(";")):
            raise ValueError(f"image names no member; found {value!r}; write for example jpg;png")
        return value


class Dataset(Layout):
    """Where the raw data lies and how a sample is laid out."""

    shards: Patterns
    """URL, brace range, glob or prefix (or a list of them); .tar or .parquet."""

    test_shards: Patterns | None = None
    """Clean held-out data, read by the audit only; never protected, never published. None: an audit holds out a fifth
    of `shards` from its victims, by the hash of the samples' keys, and its report says so."""

    storage: Storage = Storage()
    """How the dataset's store is reached."""

    @property
    def layout(self) -> Layout:
        """The part that decides how a sample is read; where the data lies decides nothing about it."""
        return Layout(image=self.image, members=self.members, max_pixels=self.max_pixels)


OutputFormat = Literal["tar", "parquet"]
"""WebDataset or Parquet; also the ending of a shard's name."""


class Protect(Model):
    """How protected images are written."""

    output_format: OutputFormat = "tar"
    """What a published shard is. `tar`: WebDataset. `parquet`: a table as the Hugging Face Hub shows it, with `Image`
    and `ClassLabel` columns; columns of an input table keep their types."""

    encoding: Literal["png", "webp"] = "png"
    """Lossless encoding of the published image; the member's extension follows."""

    on_error: Literal["quarantine", "fail"] = "quarantine"
    """What a sample that cannot be protected does: it is left out and listed, or it ends its shard."""

    max_quarantined: float = Field(default=0.001, ge=0, le=1)
    """Share of all samples that may be quarantined before the run ends with exit code 3."""

    max_failed: float = Field(default=0.1, ge=0, le=1)
    """Share of all shards that may fail before the run ends with exit code 3. Nothing is trained then, and no manifest
    is written: a generator that has seen only part of the data would stay the dataset's generator."""


class Compute(Model):
    """Where the stages run."""

    address: str = "local"
    """`local` starts Ray for this run only and never joins another cluster; `auto` or `ray://…` joins one."""

    cpus: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """CPU workers over shards; `auto`: every core."""

    gpus: Literal["auto"] | Annotated[float, Field(ge=0, allow_inf_nan=False)] = "auto"
    """GPUs that Ray may use; `auto`: those that are found."""

    job_minutes: float = Field(default=240.0, gt=0, allow_inf_nan=False)
    """Longest time for one shard, one epoch of a victim, or between two reports of a training, in minutes. After it the
    worker is ended and the job is tried again, three times in all."""


class Config(Model):
    """The whole of `pipeline.yaml`. Three keys suffice: `dataset.shards`, `tasks` and `output`."""

    name: str = Field(default="", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]*)?$")
    """Name of the dataset; the last part of `output` when left out."""

    dataset: Dataset
    tasks: list[AnyTask] = Field(min_length=1)
    """What the labels say; a `multilabel` set becomes one binary task a finding."""

    protection: Protection = Protection()
    train: Train = Field(default=Train(), validate_default=True)
    protect: Protect = Protect()
    audit: Audit | None = None
    """How protection is measured in `run`; None: not at all."""

    output: str = Field(pattern=r"\S")
    """Public place: protected shards, manifest, card. Nothing in it helps to undo the protection."""

    work: str = ""
    """Private place: cache, generator, ledger, audit. When left out: `.mtlue/<name>-<hash>` in this directory."""

    published: Published = Published()
    """What the dataset card says besides: licence, version, citation."""

    compute: Compute = Compute()

    @model_validator(mode="before")
    @classmethod
    def _fill_places(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("output"), str):
            return data
        data = dict(data)
        if not data.get("name"):
            last = data["output"].rstrip("/").rpartition("/")[2]
            data["name"] = re.sub(r"[^A-Za-z0-9_.-]", "-", last).lstrip(".") or "dataset"
        if not data.get("work"):
            # Two outputs whose last part is the same must not share a ledger.
            data["work"] = f".mtlue/{data['name']}-{hashlib.sha256(data['output'].encode()).hexdigest()[:8]}"
        return data

    @field_validator("tasks")
    @classmethod
    def _parts_of_sets(cls, tasks: list[Any]) -> list[Any]:
        return [part for task in tasks for part in task.parts]

    @field_validator("train", mode="wrap")
    @classmethod
    def _choose_training(cls, train: Any, checked: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Train:
        choice = _to_protect(info.data)
        return with_rounds(checked(chosen_training(train, *choice)), *choice)

    @model_validator(mode="after")
    def _check_tasks(self) -> Config:
        names = [task.name for task in self.tasks]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"task names must differ; found twice: {', '.join(doubled)}; set `name` on each")
        shadowed = sorted({task.group for task in self.tasks if task.group != task.name} & {*names})
        if shadowed:
            raise ValueError(f"a multi-label set and a task have the name {shadowed[0]!r}; set another `name` on one")
        if self.protection.tasks != "all":
            known = list(dict.fromkeys([*names, *(task.group for task in self.tasks)]))
            unknown = [name for name in self.protection.tasks if name not in known]
            if unknown or not self.protection.tasks:
                raise ValueError(
                    f"protection.tasks names {unknown or 'no task'}; the tasks are: {', '.join(known)}; or write `all`"
                )
        for task in self.tasks:
            if task.member in self.dataset.image_fields:
                raise ValueError(f"task {task.name!r}: field {task.field!r} is the image that is to be protected")
            if self.dataset.members.get(task.member) == "drop":
                raise ValueError(
                    f"task {task.name!r} reads member {task.member!r}, which dataset.members drops: "
                    "published images would have no label; keep it, or remove the task"
                )
            dropped = _dropped_key(task.field, self.dataset)
            if dropped is not None:
                raise ValueError(
                    f"task {task.name!r} reads {task.field!r}, and dataset.members drops {dropped!r}: published images "
                    "would have no label; take that line out, or remove the task"
                )
        for field in self.dataset.image_fields:
            if field in self.dataset.members:
                raise ValueError(f"dataset.members names {field!r}, which is the image that is to be protected")
        return self

    @model_validator(mode="after")
    def _check_audit(self) -> Config:
        wanted = self.audit.require.metric if self.audit is not None and self.audit.require is not None else None
        known = dict.fromkeys(metric.name for task in self.tasks for metric in task.metrics)
        if wanted is not None and wanted not in known:
            raise ValueError(f"audit.require.metric is {wanted!r}; the figures of these tasks are: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _check_places_are_shared(self) -> Config:
        if not self.compute.address.startswith("ray://"):
            return self
        places = {"output": self.output, "work": self.work, "dataset.shards": self.dataset.shards}
        if self.audit is not None:
            places["dataset.test_shards"] = self.dataset.test_shards or []
        for key, found in places.items():
            for url in [found] if isinstance(found, str) else found:
                if "://" not in url or url.startswith("file://"):
                    raise ValueError(
                        f"{key} ({url}) lies on a local disk, which the workers of {self.compute.address} do not "
                        "share; name an object store (s3://…), or set compute.address to local"
                    )
        return self

    @property
    def protected_tasks(self) -> list[bool]:
        """For each task, in order, whether it becomes unlearnable."""
        return _protected(self.tasks, self.protection)

    @property
    def choice(self) -> list[str]:
        """Why the training is not the usual one and what it costs, a sentence each."""
        return reasons(self.train, *_to_protect({"tasks": self.tasks, "protection": self.protection}))


def _dropped_key(field: str, layout: Layout) -> str | None:
    """The dropped key of JSON, or field of a struct, that a task's field is, lies in or contains."""
    for name, what in layout.members.items():
        if what == "drop" and "." in name:
            pairs = [(read, key) for read in (field, f"json.{field}") for key in (name, f"json.{name}")]
            if any(f"{read}.".startswith(f"{key}.") or f"{key}.".startswith(f"{read}.") for read, key in pairs):
                return name
    return None


def _to_protect(data: dict[str, Any]) -> tuple[list[AnyTask], list[Withstood]]:
    """The tasks to be protected, and what δ must withstand, of the fields that were validated before `train`."""
    tasks, protection = data.get("tasks", []), data.get("protection", Protection())
    pairs = zip(tasks, _protected(tasks, protection), strict=True)
    return [task for task, wanted in pairs if wanted], protection.withstand


def _protected(tasks: list[AnyTask], protection: Protection) -> list[bool]:
    chosen = protection.tasks
    return [chosen == "all" or task.name in chosen or task.group in chosen for task in tasks]
