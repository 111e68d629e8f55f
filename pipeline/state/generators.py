"""Generators in the private place: which one belongs to a plan, and how a new one takes its place.

generators/<sha256>.safetensors          weights, first
generators/<fingerprint>.json            their record, kept: what protected an image once can be found again
generators/plans/<plan>.json             the record of the plan's present generator
generator.json                           the record of the last training
generators/plans/<plan>.retraining.json  a retraining that was asked for and is not done yet
weights/<sha256>.safetensors             pretrained weights that a surrogate or victim starts from
"""

from __future__ import annotations

import secrets
from pathlib import Path

from pipeline.state.places import GENERATOR
from schemas.errors import ConfigError
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord, Record
from stages.io.store.objects import file_sha256
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


def weights_sha256(path: str) -> str:
    """What decides the weights, wherever their file lies.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return file_sha256(Path(path))
    except OSError as error:
        raise ConfigError(f"{path}: pretrained weights cannot be read ({error.strerror or error})") from None


def upload_weights(work: Store, path: str) -> None:
    """Bring a file of this machine to where workers find it, if it is not there."""
    name = _object(weights_sha256(path))
    if work.stat(name) is None:
        work.put(Path(path), name)


def fetch_weights(work: Store, sha256: str, folder: Path) -> Path:
    """The file with this checksum, in a folder of this worker."""
    path = folder / f"{sha256}.safetensors"
    work.get(_object(sha256), path)
    return path


def with_fetched_weights(work: Store, plan: TrainPlan, folder: Path) -> TrainPlan:
    """The plan with the paths of this worker for what its surrogates start from."""
    weights = {name: str(fetch_weights(work, sha256, folder)) for name, sha256 in plan.weights.items()}
    return plan.model_copy(update={"train": plan.train.model_copy(update={"weights": weights})})


def _object(sha256: str) -> str:
    return f"weights/{sha256}.safetensors"
