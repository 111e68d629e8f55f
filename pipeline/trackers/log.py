"""The log file of a run: its events in words, and what any module says through `logging`."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from pipeline.run.events import Event
from schemas.secrets import scrub

PACKAGES = ("pipeline", "stages")
"""Loggers whose records go into the file; their modules use `logging.getLogger(__name__)`."""

LEVELS = {"failed": logging.WARNING, "quarantined": logging.WARNING, "message": logging.WARNING}
"""Kind of event → its level; all others are information."""


class LogFile:
    """Writes `2026-11-29 13:21:33Z INFO protect: …` lines; times are UTC. Standard logging, no other configuration."""

    def __init__(self, path: Path) -> None:
        self.handler = _File(path, encoding="utf-8")
        formatter = _Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%SZ")
        formatter.converter = time.gmtime
        self.handler.setFormatter(formatter)
        self.handler.setLevel(logging.INFO)
        self.levels = {name: logging.getLogger(name).level for name in PACKAGES}
        for name in PACKAGES:
            logging.getLogger(name).addHandler(self.handler)
            logging.getLogger(name).setLevel(logging.INFO)
        self.logger = logging.getLogger("pipeline.events")

    def hear(self, event: Event) -> None:
        """One line; what only a bar shows is left out."""
        if event.kind == "advanced":
            return
        if self.handler.problem is not None:
            raise self.handler.problem
        failed = event.kind == "ended" and event.figures.get("exit_code")
        self.logger.log(logging.ERROR if failed else LEVELS.get(event.kind, logging.INFO), "%s", words_of(event))

    def close(self) -> None:
        """Close the file; the loggers are as before."""
        for name, level in self.levels.items():
            logging.getLogger(name).removeHandler(self.handler)
            logging.getLogger(name).setLevel(level)
        self.handler.close()


class _File(logging.FileHandler):
    """A file that fails quietly: whoever logs something cannot help it, and the next event says it once."""

    problem: BaseException | None = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is that of `logging`
        """Keep what happened."""
        self.problem = sys.exc_info()[1]


class _Formatter(logging.Formatter):
    """Lines without credentials."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


def words_of(event: Event) -> str:
    """An event in one line.

    >>> words_of(Event(time=0, kind="pass", step="train", name="codes", number=3, figures={"total": 0.25}))
    'train: pass 3 of codes: total 0.25'
    """
    start = f"{event.step}: " if event.step else ""
    figures = ", ".join(f"{name} {_shown(value)}" for name, value in event.figures.items())
    about = f" {event.number} of {event.name}" if event.kind in {"pass", "epoch"} else f" {event.name}"
    what = "" if event.kind == "message" else f"{event.kind}{about.rstrip()}"
    return start + ": ".join(part for part in (what, event.text, figures) if part)


def _shown(value: float) -> str:
    """A whole number with all its digits, any other with four."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
