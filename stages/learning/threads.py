"""Threads of a computation, and the time that they work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads; afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def clock() -> float:
    """Seconds: of a GPU on the wall; of a CPU those it worked, by thread, so that another load changes no estimate."""
    return time.monotonic() if torch.cuda.is_available() else time.process_time() / torch.get_num_threads()
