"""Which generator belongs to a configuration: the one that is there and fits, or none yet."""

from __future__ import annotations

from pipeline.state.places import GENERATOR
from schemas.config import Config
from schemas.records import GeneratorRecord, fingerprint
from stages.io.store.store import Store


def settings_of(config: Config) -> str:
    """Fingerprint of the configuration part that decides a generator; another one means another generator."""
    return fingerprint(
        [
            config.train.model_dump(mode="json"),
            [task.model_dump(mode="json") for task in config.tasks],
            config.protection.model_dump(mode="json"),
        ]
    )


def fitting_generator(work: Store, config: Config) -> GeneratorRecord | None:
    """The generator that an earlier run trained under the settings of `config`; None when it has to be trained."""
    if work.stat(GENERATOR) is None:
        return None
    record = GeneratorRecord.model_validate_json(work.read(GENERATOR))
    return record if record.settings == settings_of(config) else None
