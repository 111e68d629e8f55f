"""The command line: its commands, how a command ends, and output that any terminal can print."""

from __future__ import annotations

import codecs
import io
import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pipeline.commands.audit import audit
from pipeline.commands.imports import importer
from pipeline.commands.init import init
from pipeline.commands.plan import plan
from pipeline.commands.preview import preview
from pipeline.commands.run import run
from pipeline.commands.schema import schema
from pipeline.commands.status import status
from pipeline.commands.verify import verify
from schemas.errors import INTERRUPTED, TERMINATED, UNREAD, MtlueError
from schemas.secrets import scrub, scrub_names


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"mtlue {version('mtlue')}")
        raise typer.Exit


app = typer.Typer(
    name="mtlue",
    help="Protect an image dataset before it is published, so that nobody trains on it without consent.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error; may stand anywhere.")] = False,
) -> None:
    """Protect an image dataset before it is published, so that nobody trains on it without consent."""


app.command()(run)
app.command()(plan)
app.command()(audit)
app.command()(verify)
app.command()(status)
app.command()(preview)
app.command()(init)
app.command()(schema)
app.add_typer(importer, name="import")


def main() -> None:
    """Entry point: errors become one clear line and an exit code; a traceback only with --debug."""
    print_anything()
    # Without a home directory Matplotlib keeps its cache in a temporary one, and says so at length.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    terminated = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt  # what is at work ends as for Ctrl-C

    signal.signal(signal.SIGTERM, interrupt)
    code = _exit_code(lambda: app(args=arguments, prog_name="mtlue", standalone_mode=False), debug=debug)
    sys.exit(TERMINATED if terminated and code == INTERRUPTED else code)


def _exit_code(action: Callable[[], Any], *, debug: bool) -> int:
    try:
        code = action()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        left = reader_left()  # from here on no printing can fail
        broken = error.__context__ if isinstance(error, SystemExit) else error  # typer and rich exit on it
        if isinstance(broken, BrokenPipeError) and (left or broken is not error):
            return UNREAD
        code = _code_of(error, debug=debug)
    if code in {INTERRUPTED, TERMINATED}:  # typer turns an interrupt into the first of them
        print("mtlue: interrupted; what is done is kept, the next run goes on from there", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _code_of(error: BaseException, *, debug: bool) -> int:
    """Print what ended a command; its exit code."""
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return INTERRUPTED
    if isinstance(error, SystemExit):  # shell completion ends by 0; while Ray starts, its handler of SIGTERM by another
        return TERMINATED if error.code else 0
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of the parser
        error.show()  # type: ignore[attr-defined]
        return 2
    if debug:
        print(scrub("".join(traceback.format_exception(error))), file=sys.stderr)
    if isinstance(error, MtlueError):
        print(f"mtlue: {scrub_names(error.message)}", file=sys.stderr)
        return error.exit_code
    print(
        f"mtlue: {type(error).__name__}: {scrub(error)}\n"
        "This is a fault of mtlue; run again with --debug and report it.",
        file=sys.stderr,
    )
    return 1


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
