"""The step that trains the generator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.state.weights import with_fetched_weights
from pipeline.steps.worker import device, fetch_table
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord
from stages.io.store.store import Store
from stages.perturbers.checkpoint import serialise, weights_name
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import PERTURBERS
from stages.perturbers.resuming import TrainingState
from stages.tasks.registry import fitted_tasks

STATES = "training/"
"""Folder of `work` with the state of the training that is under way; the driver removes it after the record."""


def train_step(
    work: Store,
    tables: list[str],
    plan: TrainPlan,
    fingerprint: str,
    nonce: str,
    save_seconds: float,
    report: Callable[[str, int, int], None],
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
