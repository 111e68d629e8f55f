"""What every step needs inside a worker: its device, and tables from the private place."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from schemas.tasks import Task
from stages.io.store.store import Store
from stages.learning.sampling import cut_tables, split_tables
from stages.learning.table import ImageTable, open_table
from stages.tasks.kinds import kinds_of

MAPPED_BYTES = 4 * 2**20
"""From this size on, memory that is freed goes back to the system at once."""

KEPT_BYTES = 16 * 2**20
"""Free memory that a heap keeps: otherwise the system maps the same pages again for each image, 3 ms at 512 px."""


def return_memory() -> None:
    """Let glibc map each large array on its own, and keep what small ones need from one image to the next.

    By itself it raises that size to 32 MB as large arrays come and go. Then Pillow's blocks of 16 MB stay in the heaps
    of the threads that decode: 150 MB at 64 Mpx.
    """
    trim_threshold, mmap_threshold = -1, -3  # <malloc.h>
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, MAPPED_BYTES)
        mallopt(trim_threshold, KEPT_BYTES)


def device() -> torch.device:
    """The first GPU that Ray gave to this worker, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fetch_table(
    work: Store,
    names: Sequence[str],
    directory: Path,
    tasks: Sequence[Task],
    samples: int,
    *,
    held_out: bool | None = None,
) -> ImageTable:
    """Download Arrow files from `work` into a new directory and map `samples` of them, at most, as one table.

    `held_out`: of those only the held-out ones, or only the others; None: all.
    """
    files = fetch_files(work, names, directory, samples)
    if held_out is not None:
        split_tables(files, held_out=held_out)
    return open_table(files, kinds_of(tasks))


def fetch_files(work: Store, names: Sequence[str], directory: Path, samples: int) -> list[Path]:
    """Download Arrow files from `work` into a new directory and leave `samples` in them, at most."""
    directory.mkdir()
    paths = []
    for number, name in enumerate(names):
        path = directory / f"{number:06d}.arrow"
        work.get(name, path)
        paths.append(path)
    cut_tables(paths, samples)
    return paths
