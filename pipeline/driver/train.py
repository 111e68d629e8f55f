"""Train, as the driver does it: the generator that is there and fits, or a new one."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cluster.executor import Executor
from pipeline.cluster.progress import Reporter
from pipeline.state.generators import fitting_generator
from pipeline.state.places import GENERATOR
from pipeline.steps.train import train_step
from schemas.fingerprints import fingerprint
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord, ShardProfile
from stages.io.store.store import Store


def train_or_find(
    executor: Executor,
    reporter: Reporter,
    work: Store,
    plan: TrainPlan,
    profiles: Sequence[ShardProfile],
    *,
    retrain: bool,
) -> GeneratorRecord:
    """The generator of this plan; a new one is trained when there is none, or when `retrain` asks for it."""
    state = fingerprint([plan.fingerprint, sorted(profile.sha256 for profile in profiles)])
    current = None if retrain else fitting_generator(work, plan)
    if current is not None:
        if current.fingerprint != state:
            reporter.say(
                "train: the data changed since the generator was trained; it is used as it is "
                "(--retrain trains a new one and protects every shard again)"
            )
        return current
    tables = [profile.cache for profile in profiles if profile.cache]
    with reporter.step("train", plan.train.epochs, "passes") as step:
        record = executor.stream(
            train_step,
            (work, tables, plan, state),
            lambda what, done, total: step.advance_to(done, what=f"train: {what}", total=total),
        )
    text = record.model_dump_json().encode()
    work.write(f"generators/{state}.json", text)
    work.write(GENERATOR, text)
    return record
