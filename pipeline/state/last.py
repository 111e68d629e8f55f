"""The configuration of the last run on a `work` prefix: stored by the run, compared by whoever comes with another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.state.places import LAST_CONFIG
from schemas.config import Config
from stages.io.store.store import Store

NOT_COMPARED = {"compute", "watch", "sign_with"}
"""Sections that decide nothing about what is published."""


def keep_config(work: Store, config: Config) -> None:
    """Remember the configuration of this run; an equal one is not written again."""
    data = config.model_dump_json(indent=1, exclude=NOT_COMPARED).encode()
    if work.stat(LAST_CONFIG) is None or work.read(LAST_CONFIG) != data:
        work.write(LAST_CONFIG, data)


def differences(work: Store, config: Config) -> list[str]:
    """Keys in which the last run's configuration differs from this one, `train.rounds=4 (here 12)` each.

    Keys that only one of the two knows are passed by: another version of mtlue has written it. Empty without a run.
    """
    if work.stat(LAST_CONFIG) is None:
        return []
    try:
        last = json.loads(work.read(LAST_CONFIG))
    except ValueError:
        return [f"{work.join(LAST_CONFIG)} cannot be read; the next run writes it again"]
    return list(_differences(last, config.model_dump(mode="json", exclude=NOT_COMPARED), ""))


def _differences(last: Any, here: Any, key: str) -> Iterator[str]:
    if isinstance(last, dict) and isinstance(here, dict):
        for name in last:
            if name in here:
                yield from _differences(last[name], here[name], f"{key}.{name}".lstrip("."))
    elif last != here:
        values = [json.dumps(value, ensure_ascii=False) for value in (last, here)]
        short = all(len(value) <= LONGEST for value in values)
        yield f"{key}={values[0]} (here {values[1]})" if short else key


LONGEST = 60
"""Letters of a value that is shown; of a longer one only the key is named."""
