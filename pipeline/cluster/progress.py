"""Progress: bars with rate and time left on a terminal, plain lines in a log, one JSON object a line for machines.

Listeners of `events` hear all of it as well.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pipeline.run.events import Events

Style = Literal["auto", "plain", "json"]

LINE_SECONDS = 10.0
"""Pause between two plain lines about one step."""


class Reporter:
    """Tells the user where a run stands; on standard error, so that standard output holds the result alone.

    Args:
        style: `auto` shows bars on a terminal and plain lines elsewhere; `json` writes one object a line.
    """

    def __init__(self, style: Style = "auto") -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.json = style == "json"
        self.bars = style == "auto" and self.console.is_terminal
        self.events = Events(self.show)

    def say(self, text: str, **fields: object) -> None:
        """One line about something that happened."""
        self.events.tell("message", text=text)
        self.show(text, **fields)

    def show(self, text: str, **fields: object) -> None:
        """One line for this process's user alone."""
        if self.json:
            print(json.dumps({"event": "message", "text": text, **fields}), file=sys.stderr, flush=True)
        else:
            self.console.print(text, markup=False)

    @contextmanager
    def step(self, what: str, total: int, unit: str) -> Iterator[Step]:
        """A step of `total` units; advance it with the object that is yielded."""
        if total:
            self.events.tell("started", what, figures={"total": total})
        with self._shown(what, total, unit) as step:
            began = time.monotonic()
            yield step
            if total:
                figures = {"seconds": round(time.monotonic() - began, 3)}
                self.events.tell("finished", what, number=step.done, figures=figures)

    @contextmanager
    def _shown(self, what: str, total: int, unit: str) -> Iterator[Step]:
        if not self.bars:
            yield Step(self, what, total, unit)
            return
        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]} · {task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(what, total=total, unit=unit, rate="…")
            yield Step(self, what, total, unit, progress, task)


class Step:
    """One step's counter."""

    def __init__(
        self,
        reporter: Reporter,
        what: str,
        total: int,
        unit: str,
        progress: Progress | None = None,
        task: TaskID | None = None,
    ) -> None:
        self.reporter, self.what, self.total, self.unit = reporter, what, total, unit
        self.progress, self.task = progress, task
        self.started = self.last = self.moved = time.monotonic()
        self.done = 0

    def advance_to(self, done: int, *, what: str | None = None, total: int | None = None) -> None:
        """Set how many units are done; `what` and `total` may change under way."""
        if what is not None and what != self.what:
            # The next phase began when the last unit of the one before was done.
            self.what, self.started, self.last = what, self.moved, 0.0
        self.done, self.total = done, total or self.total
        self.moved = now = time.monotonic()
        self.reporter.events.tell("advanced", self.what, number=done, figures={"total": self.total})
        rate = self.done / max(now - self.started, 1e-9)
        if self.progress is not None and self.task is not None:
            text = f"{rate:.2f}/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.1f} s each"
            self.progress.update(
                self.task, completed=done, total=self.total, description=self.what, unit=self.unit, rate=text
            )
        elif self.reporter.json:
            event = {"event": "progress", "step": self.what, "done": done, "total": self.total, "unit": self.unit}
            print(json.dumps({**event, "seconds": round(now - self.started, 1)}), file=sys.stderr, flush=True)
        elif done == self.total or now - self.last >= LINE_SECONDS:
            self.last = now
            left = (self.total - done) / rate if rate > 0 and done else 0.0
            rest = f", {left:.0f} s left" if done < self.total and done else ""
            self.reporter.show(f"{self.what}: {done}/{self.total} {self.unit} in {now - self.started:.0f} s{rest}")

    def advance(self) -> None:
        """One more unit is done."""
        self.advance_to(self.done + 1)
