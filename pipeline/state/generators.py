"""Which generator belongs to a plan: the one that is there and fits, or none yet."""

from __future__ import annotations

from pipeline.state.places import GENERATOR
from schemas.plans import TrainPlan
from schemas.records import GeneratorRecord
from stages.io.store.store import Store


def fitting_generator(work: Store, plan: TrainPlan) -> GeneratorRecord | None:
    """The generator that an earlier run trained under `plan`; None when it has to be trained."""
    if work.stat(GENERATOR) is None:
        return None
    record = GeneratorRecord.model_validate_json(work.read(GENERATOR))
    return record if record.plan == plan.fingerprint else None
