"""The configuration of the last run: stored in `work`, and noted in the directory where the run was started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from pipeline.state.places import LAST_CONFIG
from schemas.config import Config
from schemas.model import Model
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

    Keys that only one of the two knows are ignored: another version of mtlue has written it. Empty without a run.
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


PLACE = Path(".mtlue/last-run.json")
"""Below the current directory."""


class LastRun(Model):
    """What `mtlue run` was given."""

    config: str | None = None
    """Configuration file as it was typed; None: pipeline.yaml."""
    overrides: list[str] = Field(default_factory=list)
    """`a.b=c` of each `--set`."""

    @property
    def words(self) -> str:
        """As it would be typed again."""
        return " ".join([self.config or "pipeline.yaml", *(f"--set '{item}'" for item in self.overrides)])


def remember(config: Path | None, overrides: list[str] | None) -> None:
    """Note what a run was given. A directory that cannot be written is ignored: the note is a convenience."""
    with suppress(OSError):
        PLACE.parent.mkdir(mode=0o700, exist_ok=True)
        last = LastRun(config=None if config is None else str(config), overrides=overrides or [])
        PLACE.write_text(json.dumps(last.model_dump(), indent=1) + "\n", encoding="utf-8")


def last_run() -> LastRun | None:
    """What the last run in this directory was given; None where no run is known, or its configuration is gone."""
    try:
        last = LastRun.model_validate_json(PLACE.read_bytes())
    except (OSError, ValidationError):
        return None
    return last if Path(last.config or "pipeline.yaml").exists() else None
