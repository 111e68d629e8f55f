"""Which configuration was run last in a directory, so that `mtlue status` need not be told again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from pydantic import Field, ValidationError

from schemas.model import Model

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
    """Note what a run was given; a directory that cannot be written is passed by: it is a convenience."""
    with suppress(OSError):
        PLACE.parent.mkdir(mode=0o700, exist_ok=True)
        last = LastRun(config=None if config is None else str(config), overrides=overrides or [])
        PLACE.write_text(json.dumps(last.model_dump(), indent=1) + "\n", encoding="utf-8")


def last_run() -> LastRun | None:
    """What the last run in this directory was given; None where none is known, or its configuration is gone."""
    try:
        last = LastRun.model_validate_json(PLACE.read_bytes())
    except (OSError, ValidationError):
        return None
    return last if Path(last.config or "pipeline.yaml").exists() else None
