"""The configuration: the whole of `pipeline.yaml`, checked before anything is started."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator, model_validator

from schemas.dataset import Dataset, dropped_key
from schemas.model import Model
from schemas.protection import Protection, Withstood, chosen_training, reasons, to_withstand, with_rounds
from schemas.published import Published
from schemas.secrets import holds_password, scrub
from schemas.tasks import AnyTask
from schemas.training import Audit, Train

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

    dashboard: bool = False
    """Show Ray's dashboard, and export metrics for Prometheus, while a run is under way (needs `mtlue[dashboard]`)."""

    job_minutes: float = Field(default=240.0, gt=0, allow_inf_nan=False)
    """Longest time for one shard, one epoch of a victim, or between two reports of a training, in minutes. After it the
    worker is ended and the job is tried again, three times in all."""


class Watch(Model):
    """Where the events of a run go besides `work`, which always gets a log, JSON lines and curves for TensorBoard."""

    mlflow: str | None = None
    """Tracking URI of MLflow (`https://…`, `sqlite:///…`), which gets the metrics; needs `mtlue[mlflow]`. Credentials
    come from the environment (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD). None: no MLflow."""

    @field_validator("mlflow")
    @classmethod
    def _no_password(cls, uri: str | None) -> str | None:
        if uri is not None and holds_password(uri):
            raise ValueError(
                f"{scrub(uri)}: the URI has a password in it; set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD in the environment instead"
            )
        return uri


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

    sign_with: str = ""
    """Private key of OpenSSH that signs `certificate.json`, or the public half of one in ssh-agent. When left out: the
    certificate is not signed."""

    compute: Compute = Compute()

    watch: Watch = Watch()

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
        protected, wish = _to_protect(info.data)
        withstand = to_withstand(train, protected, wish)
        return with_rounds(checked(chosen_training(train, withstand)), protected, withstand)

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
            dropped = dropped_key(task.field, self.dataset)
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


def _to_protect(data: dict[str, Any]) -> tuple[list[AnyTask], list[Withstood] | None]:
    """The tasks to be protected, and `protection.withstand`, of the fields that were validated before `train`."""
    tasks, protection = data.get("tasks", []), data.get("protection", Protection())
    pairs = zip(tasks, _protected(tasks, protection), strict=True)
    return [task for task, wanted in pairs if wanted], protection.withstand


def _protected(tasks: list[AnyTask], protection: Protection) -> list[bool]:
    chosen = protection.tasks
    return [chosen == "all" or task.name in chosen or task.group in chosen for task in tasks]
