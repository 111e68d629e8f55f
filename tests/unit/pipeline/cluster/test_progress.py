"""Progress: plain lines in a log, JSON lines for machines, bars on a terminal; standard output stays free."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from pipeline.cluster import progress
from pipeline.cluster.progress import Reporter


def test_plain_lines_say_what_is_done_at_the_end_and_markup_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter("plain")
    reporter.say("shard [red]x[/red] {braces} of s3://bucket/" + "long/" * 60)
    with reporter.step("protect", 3, "shards") as step:
        for _ in range(3):
            step.advance()
    out, err = capsys.readouterr()
    assert out == ""
    message, *lines = err.splitlines()
    assert message == "shard [red]x[/red] {braces} of s3://bucket/" + "long/" * 60
    assert re.fullmatch(r"protect: 3/3 shards in \d+ s", "\n".join(lines))


def test_plain_lines_come_at_intervals_with_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Reporter("plain").step("ingest", 100, "shards") as step:
        for _ in range(4):
            now[0] += 6
            step.advance()
    assert capsys.readouterr().err.splitlines() == [
        "ingest: 2/100 shards in 12 s, 588 s left",
        "ingest: 4/100 shards in 24 s, 576 s left",
    ]


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter("json")
    reporter.say("a\nb", shard="x.tar")
    with reporter.step("train", 5, "epochs") as step:
        step.advance_to(2, what="train: surrogate", total=4)
        step.advance_to(1, what="train: generator", total=9)
    out, err = capsys.readouterr()
    assert out == ""
    message, first, second = map(json.loads, err.splitlines())
    assert message == {"event": "message", "text": "a\nb", "shard": "x.tar"}
    assert (first["step"], first["done"], first["total"]) == ("train: surrogate", 2, 4)
    assert (second["step"], second["done"], second["total"], second["unit"]) == ("train: generator", 1, 9, "epochs")


def test_a_terminal_gets_a_bar_with_count_and_rate() -> None:
    reporter = Reporter("auto")
    screen = io.StringIO()
    reporter.console = Console(file=screen, force_terminal=True, width=120)
    reporter.bars = True
    with reporter.step("protect", 4, "shards") as step:
        step.advance()
        step.advance_to(4)
    shown = screen.getvalue()
    for word in ("protect", "4/4", "shards", "/s"):
        assert word in shown


def test_a_step_without_units_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter("plain").step("ingest", 0, "shards"):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert not Reporter("auto").bars
    assert not Reporter("plain").bars
