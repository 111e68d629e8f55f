"""What a command prints: any character in any encoding, and quietly nothing when nobody reads it any more."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from pipeline import cli
from pipeline.cli import print_anything
from schemas.errors import EvidenceError


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A pipe whose reader has left."""
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w")
    yield stream
    stream.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_no_character_ends_a_command_whatever_the_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    print_anything()
    assert cli._exit_code(lambda: print("max |Δ| ≤ 8", "\udcff", "é"), debug=False) == 0
    text = printed.getvalue().decode(encoding)
    assert text.startswith("max |Δ| ≤ 8 ? é" if encoding == "utf-8" else "max |delta| <= 8 ? ")


@pytest.mark.parametrize("length", [10, 1_000_000])
def test_a_reader_that_leaves_ends_the_command_quietly_with_the_code_of_a_broken_pipe(
    length: int, unread: TextIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", unread)
    assert cli._exit_code(lambda: print("x" * length), debug=False) == cli.UNREAD == 141
    assert capsys.readouterr().err == ""


def test_the_library_of_the_command_line_leaves_no_other_code(
    unread: TextIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", unread)
    assert cli._exit_code(lambda: cli.app(args=["--help"], standalone_mode=False), debug=False) == cli.UNREAD
    assert capsys.readouterr().err == ""


def test_an_error_keeps_its_code_when_nobody_reads_it(unread: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise EvidenceError("no")

    monkeypatch.setattr(sys, "stderr", unread)
    assert cli._exit_code(fail, debug=False) == EvidenceError.exit_code


def test_a_broken_connection_elsewhere_is_no_reader_that_left(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise BrokenPipeError("a socket")

    assert cli._exit_code(fail, debug=False) == 1
    assert "a socket" in capsys.readouterr().err
