"""Events: every listener is told, in order; one that fails is reported once and ends nothing; no credentials."""

from __future__ import annotations

import pytest

from pipeline.cluster.progress import Reporter
from pipeline.run.events import Event, Events


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False

    def hear(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closed = True


class Broken(Kept):
    """Fails at every event."""

    def hear(self, event: Event) -> None:
        super().hear(event)
        raise OSError("no space left, says https://me:secret@host/x")


def test_a_listener_that_fails_is_reported_once_and_the_others_go_on() -> None:
    said: list[str] = []
    events, broken, kept = Events(said.append), Broken(), Kept()
    events.listeners += [broken, kept]
    for number in range(3):
        events.tell("pass", "train", name="codes", number=number, figures={"total": 0.5})
    assert [event.number for event in kept.events] == [0, 1, 2]
    assert len(broken.events) == 1
    assert said == [
        "events: Broken is switched off (OSError: no space left, says https://host/x); the run goes on",
    ]
    events.close()
    assert kept.closed
    assert broken.closed, "what it has open"


def test_an_interrupt_is_no_failure_of_a_listener() -> None:
    class Interrupted(Kept):
        def hear(self, event: Event) -> None:
            raise KeyboardInterrupt

    events = Events(print)
    events.listeners.append(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        events.tell("message", text="x")


def test_no_credential_is_told() -> None:
    events, kept = Events(print), Kept()
    events.listeners.append(kept)
    events.tell("message", text="cannot read s3://key:word@bucket/x?X-Amz-Signature=abc")
    assert kept.events[0].text == "cannot read s3://bucket/x"


def test_what_the_progress_shows_is_told_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    reporter, kept = Reporter("plain"), Kept()
    reporter.events.listeners.append(kept)
    reporter.say("ingest: 2 labels are missing")
    with reporter.step("ingest", 2, "shards") as step:
        step.advance()
        step.advance()
    with reporter.step("protect", 0, "shards"):
        pass
    told = [(event.kind, event.step, event.number) for event in kept.events]
    assert told == [
        ("message", "", 0),
        ("started", "ingest", 0),
        ("advanced", "ingest", 1),
        ("advanced", "ingest", 2),
        ("finished", "ingest", 2),
    ]
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_point_of_a_curve_has_one_name_over_all_its_steps() -> None:
    epoch = Event(time=0, kind="epoch", step="victims", name="clean-stride5", number=3, figures={"a/accuracy": 0.5})
    assert epoch.curves == {"victims/clean-stride5/a/accuracy": 0.5}
    shard = Event(time=0, kind="published", step="protect", name="train-3.tar", number=3, figures={"psnr_mean_db": 31})
    assert shard.curves == {"protect/psnr_mean_db": 31}
    assert not Event(time=0, kind="failed", step="protect", figures={"x": 1}).curves
