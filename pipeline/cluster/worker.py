"""What runs in Ray's workers: one call that gives its result or its error, and one long call that reports."""

from __future__ import annotations

import atexit
import faulthandler
import os
import queue
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any

from pipeline.cluster.scratch import Scratch
from schemas.errors import MtlueError, UnwritableError
from stages.io.store.failpoints import reached
from stages.io.store.failures import FULL_ERRNOS


class UnexpectedError(MtlueError):
    """A fault of mtlue itself at a shard's border; the text ends with where it happened."""


def call(work: Callable[[], Any], directory: str, seconds: float) -> Any:
    """What `work()` gives, or the error that it ended with, on one thread.

    Args:
        work: anything that cloudpickle takes.
        directory: for temporary files, when this machine has it.
        seconds: after which the process ends, whatever it is at.
    """
    _compute_on(1)
    _use_directory(directory)
    # A thread of C that ends the process also where Python hangs in a library.
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        return work()
    except MtlueError as error:
        return error
    except Exception as error:
        return _unexpected(error)
    finally:
        faulthandler.cancel_dump_traceback_later()


class Stream:
    """An actor that runs one long function in a thread, and hands out what it reports."""

    def __init__(self, directory: str, threads: int) -> None:
        self.threads = threads
        _use_directory(directory)
        self.messages: queue.Queue[tuple[str, Any]] = queue.Queue()

    def begin(self, work: Callable[..., Any]) -> None:
        """Start `work(report=…)`."""
        # For every thread that begins later: torch keeps the number by thread, but starts from the process's own.
        _compute_on(self.threads)
        threading.Thread(target=self._work, args=(work,), daemon=True).start()

    def next(self) -> tuple[str, Any]:
        """Wait for the next of its reports, then for ("result", …) or ("error", …)."""
        return self.messages.get()

    def _work(self, work: Callable[..., Any]) -> None:
        try:
            self.messages.put(("result", work(report=self._report)))
        except MtlueError as error:
            self.messages.put(("error", error))
        except Exception as error:
            self.messages.put(("error", _unexpected(error)))

    def _report(self, *what: Any) -> None:
        self.messages.put(("report", what))
        reached(" ".join(["reported", *map(str, what[:2])]))


def _compute_on(threads: int) -> None:
    """Set the number of torch's threads. Torch is not loaded for it: drawing and packing images need none of it."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
    else:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when it is loaded


def _use_directory(directory: str) -> None:
    """Put this worker's temporary files where the run removes them, even when the worker is killed.

    On another machine that directory does not exist; there every worker has its own, which the next one removes.
    """
    tempfile.tempdir = directory if os.path.isdir(directory) else _own_directory()


@cache
def _own_directory() -> str:
    tempfile.tempdir = None
    scratch = Scratch()
    atexit.register(scratch.close)
    return scratch.path


def _unexpected(error: Exception) -> MtlueError:
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        where = error.filename or tempfile.gettempdir()
        return UnwritableError(
            f"{where}: {error.strerror}; free some space for temporary files (TMPDIR), and run again"
        )
    where = traceback.extract_tb(error.__traceback__)[-1]
    return UnexpectedError(f"{type(error).__name__}: {error} (in {where.name}, {where.filename}:{where.lineno})")
