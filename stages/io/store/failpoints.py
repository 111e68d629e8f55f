"""Failpoints: where a test lets a process die as it would in a power cut; they cost nothing otherwise.

A run's state lies in its stores alone, so every state in which it can be broken off lies between two of their verbs.
Each verb therefore passes a point before and after every attempt, named by verb and URL:

    before download s3://raw/train-0.tar        after upload s3://public/train-0.tar
    before write s3://private/generator.json    flushed /data/public/train-0.tar (written, not renamed yet)

and a training passes one with each report (`reported generator 3`). The environment variable MTLUE_FAILPOINTS names a
directory whose files each hold a pattern of such names. The first process that reaches a matching point removes the
file and ends itself with SIGKILL. Driver and local workers share the directory: each file is one death.
"""

from __future__ import annotations

import os
import signal
from fnmatch import fnmatchcase
from pathlib import Path

VARIABLE = "MTLUE_FAILPOINTS"

_ARMED = os.environ.get(VARIABLE)


def reached(point: str) -> None:
    """Die here if a test wants it."""
    if _ARMED is None:
        return
    for file in sorted(Path(_ARMED).iterdir()):
        try:
            if fnmatchcase(point, file.read_text()):
                file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        except FileNotFoundError:  # another process dies of it
            continue
