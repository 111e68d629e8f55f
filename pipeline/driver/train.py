"""Train, as the driver does it: the generator that is there and fits, or a new one."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cluster.executor import Executor
from pipeline.cluster.progress import Reporter
from pipeline.state.generators import add_generator, ask_retraining, fitting_generator, pending_retraining
from pipeline.state.owner import OWNER
from pipeline.state.places import GENERATOR, Places
from pipeline.steps.train import STATES, train_step
from schemas.errors import ConfigError
from schemas.fingerprints import fingerprint
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord, ShardProfile
from stages.io.store.store import Store
from stages.perturbers.generator.explained import drowned
from stages.perturbers.registry import passes_of
from stages.perturbers.resuming import SAVE_SECONDS
from stages.publish.manifest import MANIFEST


def train_or_find(
    executor: Executor,
    reporter: Reporter,
    work: Store,
    plan: TrainPlan,
    profiles: Sequence[ShardProfile],
    *,
    retrain: bool,
) -> GeneratorRecord:
    """The generator of this plan; a new one is trained when there is none, or when `retrain` asks for it.

    A retraining draws a nonce, so that unchanged data gives other weights too; one that was broken off is ended by the
    next run, whether that asks for it or not.
    """
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
        record = executor.stream(
            train_step,
            (work, tables, plan, _state(plan, profiles, nonce), nonce, SAVE_SECONDS),
            lambda what, done, total: step.advance_to(done, what=f"train: {what}", total=total),
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
