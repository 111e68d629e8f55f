"""Standard output and error: any character can be printed, and a reader that leaves early is no error."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys

SPELLED = {
    "Δ": "delta",
    "δ": "delta",
    "ε": "epsilon",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "×": "x",
    "→": "->",
    "−": "-",
    "·": "-",
    "…": "...",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
}
"""What is printed for a character that the encoding of a terminal, pipe or log lacks; for others a question mark."""

HANDLER = "mtlue-spelled"


def print_anything() -> None:
    """Let no character end a command: standard output and error spell those that their encoding lacks."""
    codecs.register_error(HANDLER, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def reader_left() -> bool:
    """Whether nobody reads standard output or error any more (`| head`); what is still printed there is dropped."""
    left = False
    for stream in (sys.stdout, sys.stderr):
        try:
            descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):  # none, no file, or closed
            continue
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            left = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
    return left


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SPELLED.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
