"""Generators in the private place: which one belongs to a plan, and how a new one takes its place.

generators/<sha256>.safetensors          weights, first
generators/<fingerprint>.json            their record, kept: what protected an image once can be found again
generators/plans/<plan>.json             the record of the plan's present generator
generator.json                           the record of the last training
generators/plans/<plan>.retraining.json  a retraining that was asked for and is not done yet
"""

from __future__ import annotations

import secrets

from pipeline.state.places import GENERATOR
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord, Record
from stages.io.store.records import read_record
from stages.io.store.store import Store

FOLDER = "generators/"


class Retraining(Record):
    """A new generator was asked for although one fits; written before it is trained, removed when it is stored."""

    nonce: str
    """What makes it another one, drawn afresh: whoever has the old generator cannot make the new one."""


def fitting_generator(work: Store, plan: TrainPlan) -> GeneratorRecord | None:
    """The newest generator that was trained under `plan`; None when it has to be trained."""
    for name in (GENERATOR, _present(plan)):
        if work.stat(name) is not None:
            # An unknown field of the network might decide δ: there is no guessing.
            record = read_record(work, name, GeneratorRecord, "train another one with --retrain", strict=True)
            if record.plan == plan.fingerprint:
                return record
    return None


def add_generator(work: Store, plan: TrainPlan, record: GeneratorRecord) -> None:
    """Make a generator whose weights are stored the present one of its plan; those before stay where they are."""
    text = record.model_dump_json().encode()
    for name in (f"{FOLDER}{record.fingerprint}.json", _present(plan), GENERATOR):
        work.write(name, text)
    work.delete(_asked(plan))


def pending_retraining(work: Store, plan: TrainPlan) -> Retraining | None:
    """The retraining that an earlier run was asked for and did not end."""
    if work.stat(_asked(plan)) is None:
        return None
    return read_record(work, _asked(plan), Retraining, "remove it, and ask with --retrain again")


def ask_retraining(work: Store, plan: TrainPlan) -> Retraining:
    """Remember that a new generator is wanted: a run that is broken off must not go on with the old one."""
    asked = Retraining(nonce=secrets.token_hex(16))
    work.write(_asked(plan), asked.model_dump_json().encode())
    return asked


def _present(plan: TrainPlan) -> str:
    return f"{FOLDER}plans/{plan.fingerprint}.json"


def _asked(plan: TrainPlan) -> str:
    return f"{FOLDER}plans/{plan.fingerprint}.retraining.json"
