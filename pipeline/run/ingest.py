"""Ingest over all shards, and what must hold before any training starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.cluster.jobs import Job
from pipeline.run.session import Session
from pipeline.state.places import shard_object
from pipeline.state.record_index import RecordIndex
from schemas.config import Config
from schemas.errors import ConfigError, InputError, MtlueError, QuarantineError, RefusedInputError
from schemas.plans import IngestPlan
from schemas.records import Quarantined, ShardFailure, ShardProfile, ShardRef, kind_of, once_each
from stages.formatting import strays_text, unused_members
from stages.ingest.ingest import ingest_shard
from stages.io.store.store import Store
from stages.perturbers.registry import PERTURBERS
from stages.tasks.counts import only_label


@dataclass(frozen=True)
class Ingested:
    """What ingest knows of all shards."""

    profiles: list[ShardProfile]
    """Of those that could be read, in their order."""
    failures: list[ShardFailure]
    later: list[ShardProfile]
    """Of those that no run had read before."""

    @property
    def before(self) -> list[ShardProfile]:
        """Of those that an earlier run had read."""
        names = {profile.name for profile in self.later}
        return [profile for profile in self.profiles if profile.name not in names]


@dataclass(frozen=True)
class Source:
    """Shards that are read, and how."""

    step: str
    """As progress and messages name it."""
    store: Store
    shards: Sequence[ShardRef]
    plan: IngestPlan


def ingest_all(session: Session, source: Source, *, limit: int, enough: int) -> Ingested:
    """Profiles of all shards; only shards without a stored profile are read.

    Args:
        session: the run's.
        source: the shards.
        limit: samples of a shard that are kept for training.
        enough: a stored profile counts when so many were kept. Less than the limit, since that grows with every shard
            that goes: the others must not be read again for it.

    Raises:
        RefusedInputError: one shard says that configuration or data must be fixed; the others are not waited for.
    """
    work, shards, plan = session.work, source.shards, source.plan
    objects, stored = _objects(shards, plan), _stored(work)
    found = _found(shards, objects, stored)
    profiles = {name: profile for name, profile in found.items() if profile.keeps(enough)}
    later: list[ShardProfile] = []
    failures: list[ShardFailure] = []

    def job(ref: ShardRef) -> Job[ShardProfile]:
        table = shard_object("tables", ref, plan.fingerprint, "arrow")
        return Job(ref.name, partial(ingest_shard, source.store, ref, work, table, plan, limit))

    def done(name: str, profile: ShardProfile) -> None:
        stored.add(objects[name], profile)
        profiles[name] = profile
        later.append(profile)
        session.tell_quarantined(source.step, name, profile.quarantined)

    def failed(name: str, error: MtlueError) -> None:
        if isinstance(error, RefusedInputError):
            raise error
        session.leave_out(failures, source.step, name, error)

    missing = [ref for ref in shards if ref.name not in profiles]
    session.each(source.step, map(job, missing), done, failed, count=len(missing))
    stored.save()
    failures.sort(key=lambda failure: failure.name)  # they came as the workers were ready
    return Ingested([profiles[ref.name] for ref in shards if ref.name in profiles], failures, later)


def stored_profiles(shards: Sequence[ShardRef], work: Store, plan: IngestPlan) -> dict[str, ShardProfile]:
    """Shard's name → its profile, of those that an earlier ingest has read."""
    return _found(shards, _objects(shards, plan), _stored(work))


def _stored(work: Store) -> RecordIndex[ShardProfile]:
    return RecordIndex(work, "profiles/", ShardProfile, "remove it, and its shard is read again")


def _found(
    shards: Sequence[ShardRef], objects: Mapping[str, str], stored: RecordIndex[ShardProfile]
) -> dict[str, ShardProfile]:
    known = [ref.name for ref in shards if objects[ref.name] in stored.entries]
    return dict(zip(known, stored.read([objects[name] for name in known]), strict=True))


def _objects(shards: Sequence[ShardRef], plan: IngestPlan) -> dict[str, str]:
    return {ref.name: shard_object("profiles", ref, plan.fingerprint, "json") for ref in shards}


def check_profiles(
    config: Config, profiles: Sequence[ShardProfile], failures: Sequence[ShardFailure], shards: int
) -> None:
    """What must hold before training starts; `shards` are planned.

    Raises:
        InputError: no shard could be read, or none has a sample.
        AccessError: no shard could be read, each for want of credentials or rights.
        ConfigError: a task's field is in no sample, or every label of a task is missing.
        QuarantineError: too many shards or samples are left out.
    """
    if not profiles:
        raise kind_of(failures, InputError)(
            f"none of the {len(failures)} shards could be read; the first: {failures[0].message}"
        )
    check_failed(config, failures, shards)
    refuse_mistyped_members(config, profiles)
    check_quarantined(config, [left_out for profile in profiles for left_out in profile.quarantined], profiles)
    if not any(profile.samples for profile in profiles):
        found = "".join(f"; {sentence}" for sentence in strays_text(profiles))
        raise InputError(f"the {len(profiles)} shards hold no sample; check dataset.shards and dataset.image{found}")
    fields = sorted({field for profile in profiles for field in profile.fields})
    for task in config.tasks:
        if any(profile.labelled(task.name) for profile in profiles):
            continue
        missing = sum(profile.missing[task.name] for profile in profiles)
        if not any(_leads_to(field, task.field) for field in fields):
            near = difflib.get_close_matches(task.field, fields, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else "."
            known = ", ".join(fields[:20]) or "none"
            raise ConfigError(
                f"task {task.name!r}: no sample has a field {task.field!r}{guess} The fields found are: {known}; "
                "correct the task's `field`"
            )
        raise ConfigError(
            f"task {task.name!r}: all {missing} labels of field {task.field!r} are missing; remove the task, or add "
            "its labels"
        )


def refuse_mistyped_members(config: Config, profiles: Sequence[ShardProfile]) -> None:
    """Raise ConfigError when a member that is to be dropped is in no sample, and one of nearly its name is."""
    seen = sorted({member for profile in profiles for member in profile.members})
    for name in unused_members(config.dataset.layout, profiles):
        near = difflib.get_close_matches(name.lower(), [member.lower() for member in seen], n=1, cutoff=0.7)
        meant = [member for member in seen if member.lower() in near and member not in config.dataset.members]
        if meant and config.dataset.members[name] == "drop":
            raise ConfigError(
                f"dataset.members drops {name!r}, which no sample has, and {meant[0]!r} would be published; correct "
                f"the name, or declare {meant[0]!r} as well"
            )


def refuse_one_label(config: Config, profiles: Sequence[ShardProfile]) -> None:
    """Raise ConfigError when δ would be the same for every image, by the labels that occur in all of the data."""
    if PERTURBERS[config.train.perturber].sees_images:
        return
    protected = [task for task, wanted in zip(config.tasks, config.protected_tasks, strict=True) if wanted]
    found = [(task, only) for task in protected if (only := only_label(task, profiles)) is not None]
    if len(found) < len(protected):
        return
    named = ", ".join(f"{task.name}: {only}" for task, only in found[:5]) + (", …" if len(found) > 5 else "")
    doubts = "".join(dict.fromkeys(task.doubt(only) for task, only in found))
    raise ConfigError(
        f"every label of the protected tasks is the same ({named}){doubts}; perturber {config.train.perturber!r} has "
        "one δ for each label, so every image would get the same δ: nothing would be protected. Add images of other "
        "classes, or a task whose labels differ; another perturber does not help, as no model learns anything from one "
        "label"
    )


def _leads_to(field: str, wanted: str) -> bool:
    """Whether a field that was seen is the one of a task, or lies inside it."""
    return any(field == name or field.startswith(f"{name}.") for name in (wanted, f"json.{wanted}"))


def check_failed(config: Config, failures: Sequence[ShardFailure], shards: int) -> None:
    """Raise QuarantineError when more of the planned shards failed than `protect.max_failed` allows."""
    if len(failures) > config.protect.max_failed * shards:
        raise QuarantineError(
            f"{len(failures)} of {shards} shards failed, more than protect.max_failed ({config.protect.max_failed:g}) "
            f"allows; the first: {failures[0].message}. Nothing is trained on part of the data, and no manifest "
            "lists part of it; fix them, or raise the limit"
        )


def check_quarantined(config: Config, quarantined: Sequence[Quarantined], profiles: Sequence[ShardProfile]) -> None:
    """Raise QuarantineError when more samples are left out than `protect.max_quarantined` allows."""
    left_out = once_each(quarantined)
    total = sum(profile.samples + len(profile.quarantined) for profile in profiles)
    if len(left_out) > config.protect.max_quarantined * total:
        raise QuarantineError(
            f"{len(left_out)} of {total} samples would be left out, more than protect.max_quarantined "
            f"({config.protect.max_quarantined:g}) allows; the first: {left_out[0].message}. "
            "All are listed in left-out.json in `work`; fix them, or raise the limit"
        )
