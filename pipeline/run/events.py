"""Events: all that happens in a run, one small record each, for whoever listens; a listener that fails ends no run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Literal, Protocol

from pydantic import Field

from schemas.records import Record
from schemas.secrets import scrub

logger = logging.getLogger(__name__)

Kind = Literal[
    "began",  # a run
    "started",  # a step
    "advanced",
    "finished",
    "message",  # what a person should read
    "pass",  # of a perturber's training
    "epoch",  # of a victim
    "victim",
    "published",  # a shard
    "quarantined",  # samples of a shard
    "failed",  # a shard
    "evidence",
    "ended",  # the run, with its exit code
]


class Event(Record):
    """One happening."""

    time: float
    """Seconds since 1970, UTC."""
    kind: Kind
    step: str = ""
    """`ingest`, `train`, `victims`, `protect`, …; empty for the run as a whole."""
    name: str = ""
    """What it is about: a shard, a victim, a phase of the training."""
    number: int = 0
    """Place on a curve: pass, epoch, units done, shards published so far."""
    text: str = ""
    """A sentence for people, without credentials."""
    figures: dict[str, float] = Field(default_factory=dict)
    """Name → figure, in the unit that the name says; shares in 0..1."""

    @property
    def curves(self) -> dict[str, float]:
        """Full name → figure, of what is drawn as curves over `number`; the steps of one curve share their name."""
        if self.kind in {"pass", "epoch"}:
            return {f"{self.step}/{self.name}/{name}": value for name, value in self.figures.items()}
        if self.kind in {"published", "finished", "evidence"}:
            return {f"{self.step}/{name}": value for name, value in self.figures.items()}
        return {}


class Listener(Protocol):
    """It hears every event; any error but an interrupt switches it off."""

    def hear(self, event: Event) -> None:
        """One event, in the order of happening."""

    def close(self) -> None:
        """The run is over."""


class Events:
    """Tells every listener what happens.

    Args:
        complain: where it is said, once, that a listener was switched off.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self.complain = complain
        self.listeners: list[Listener] = []

    def tell(
        self,
        kind: Kind,
        step: str = "",
        *,
        name: str = "",
        number: int = 0,
        text: str = "",
        figures: Mapping[str, float] | None = None,
    ) -> None:
        """Something happened; the arguments are the fields of `Event`."""
        if not self.listeners:
            return
        event = Event(
            time=time.time(),
            kind=kind,
            step=step,
            name=name,
            number=number,
            text=scrub(text),
            figures=dict(figures or {}),
        )
        for listener in list(self.listeners):
            self._attempt(listener, partial(listener.hear, event))

    def close(self) -> None:
        """Close every listener."""
        for listener in list(self.listeners):
            self._attempt(listener, listener.close)
        self.listeners.clear()

    def _attempt(self, listener: Listener, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            if listener in self.listeners:
                self.listeners.remove(listener)
            with suppress(Exception):
                listener.close()
            problem = f"{type(error).__name__}: {' '.join(scrub(error).split())[:300]}"
            sentence = f"events: {type(listener).__name__} is switched off ({problem}); the run goes on"
            logger.warning(sentence)
            self.complain(sentence)
