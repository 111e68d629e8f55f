"""Train: the generator that is there and fits, or a new one; and what the worker does that trains it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from pipeline.cluster.progress import Reporter
from pipeline.run.session import Session
from pipeline.run.tables import device, fetch_table
from pipeline.state.generators import (
    add_generator,
    ask_retraining,
    fitting_generator,
    pending_retraining,
    with_fetched_weights,
)
from pipeline.state.owner import OWNER
from pipeline.state.places import GENERATOR, Places
from schemas.errors import ConfigError
from schemas.model import fingerprint
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord, ShardProfile
from stages.io.store.store import Store
from stages.perturbers.checkpoint import serialise, weights_name
from stages.perturbers.generator.explained import drowned
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import PERTURBERS, passes_of
from stages.perturbers.training import SAVE_SECONDS, Report, TrainingState
from stages.publish.manifest import MANIFEST
from stages.tasks.kinds import fitted_tasks


def train_or_find(session: Session, profiles: Sequence[ShardProfile], *, retrain: bool) -> GeneratorRecord:
    """The generator of this plan; a new one is trained when there is none, or when `retrain` asks for it.

    A retraining draws a nonce, so that unchanged data gives other weights too. A retraining that was broken off is
    ended by the next run, whether that asks for it or not.
    """
    work, reporter, plan = session.work, session.reporter, session.plans.train
    current, asked = fitting_generator(work, plan), pending_retraining(work, plan)
    if retrain and asked is None:
        asked = ask_retraining(work, plan)
    if current is not None and (asked is None or asked.nonce == current.nonce):
        if current.fingerprint != _state(plan, profiles, current.nonce):
            reporter.say(
                "train: the data changed since the generator was trained; it is used as it is "
                "(--retrain trains a new one and protects every shard again)"
            )
        if asked is not None or work.stat(GENERATOR) is None:
            add_generator(work, plan, current)  # only the last steps of storing it were missing
        _forget_states(work)
        _warn(reporter, current)
        return current
    if current is not None:
        reporter.say(
            "train: another generator than the present one, for every shard; whoever kept earlier copies can average "
            "the two δ of an image, so let as few as possible be kept"
        )
    nonce = asked.nonce if asked is not None else ""
    tables = [profile.cache for profile in profiles if profile.cache]
    with reporter.step("train", sum(passes_of(plan.train).values()), "passes") as step:

        def report(what: str, done: int, total: int, losses: Mapping[str, float] = MappingProxyType({})) -> None:
            step.advance_to(done, what=f"train: {what}", total=total)
            if losses:
                reporter.events.tell("pass", "train", name=what, number=done, figures=losses)

        record = session.executor.stream(
            partial(train_step, work, tables, plan, _state(plan, profiles, nonce), nonce, SAVE_SECONDS),
            report,
        )
    add_generator(work, plan, record)
    _forget_states(work)
    _warn(reporter, record)
    return record


def refuse_lost_work(places: Places) -> None:
    """Raise ConfigError when protected shards are public already and the private place has no generator at all."""
    if places.work.list(GENERATOR.partition(".")[0]):
        return
    public = {entry.name for entry in places.output.list()}
    if not public & {OWNER, MANIFEST}:
        return  # nobody has published there: what has the name of a shard is a stranger
    found = sorted(ref.output_name for ref in places.shards if ref.output_name in public)
    if found:
        raise ConfigError(
            f"output ({places.output.url}) holds {len(found)} protected shards of this dataset, {found[0]} first, but "
            f"work ({places.work.url}) has no generator: it was lost, or it is not theirs. A new one would give the "
            "same images a second δ, and whoever keeps both copies can average them. Restore `work`, or name the right "
            "one; if it is gone for good, --retrain --take-over trains a new generator and protects every shard again"
        )


def _warn(reporter: Reporter, record: GeneratorRecord) -> None:
    if warning := drowned(record.explained):
        reporter.say(f"train: {warning}")


def _forget_states(work: Store) -> None:
    """No training is under way: its states can go, also those of a run that died before it removed them."""
    for entry in work.list(STATES):
        work.delete(entry.name)


def _state(plan: TrainPlan, profiles: Sequence[ShardProfile], nonce: str) -> str:
    """Fingerprint of a generator: of its plan, its training data and, where it was retrained, its nonce."""
    parts = [plan.fingerprint, sorted(profile.sha256 for profile in profiles)]
    return fingerprint([*parts, nonce] if nonce else parts)


STATES = "training/"
"""Folder of `work` with the state of the training that is under way; the driver removes it after the record."""


def train_step(
    work: Store,
    tables: list[str],
    plan: TrainPlan,
    fingerprint: str,
    nonce: str,
    save_seconds: float,
    report: Report,
) -> GeneratorRecord:
    """Train the generator on the cached tables and store its weights; the caller stores the record.

    Args:
        nonce: of a retraining: another seed, and so other weights; else empty.
        save_seconds: between two stored states of the training, at least.

    Raises:
        GeneratorError: the training diverged, or its δ protects nothing; nothing was stored.
    """
    with TemporaryDirectory(prefix="mtlue-train-") as directory:
        table = fetch_table(work, tables, Path(directory, "train"), plan.tasks, plan.train.max_samples)
        fitted = with_fetched_weights(work, plan, Path(directory)).model_copy(
            update={"tasks": fitted_tasks(plan.tasks, table.labels)}
        )
        state = f"{STATES}{fingerprint}.safetensors"
        kept = TrainingState(
            read=lambda: work.read(state) if work.stat(state) is not None else None,
            write=lambda data: work.write(state, data),
            every=save_seconds,
        )
        trained = PERTURBERS[plan.train.perturber].train(table, fitted.reseeded(nonce), device(), report, kept)
    data = serialise(trained.generator)
    GeneratorPerturber(trained.generator, "new")  # tries it
    digest = hashlib.sha256(data).hexdigest()
    work.write(weights_name(digest), data)
    return GeneratorRecord(
        fingerprint=fingerprint,
        plan=plan.fingerprint,
        spec=fitted.spec,  # with what was fitted: protection reads its tasks from here
        nonce=nonce,
        sha256=digest,
        samples=len(table),
        steps=trained.steps,
        seconds=trained.seconds,
        losses=trained.losses,
        explained=trained.explained,
    )
