"""What every step needs inside a worker: its device, and tables from the private place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from schemas.tasks import Task
from stages.io.store.store import Store
from stages.learning.sampling import cut_tables
from stages.learning.table import ImageTable, open_table
from stages.tasks.registry import kinds_of


def device() -> torch.device:
    """The first GPU that Ray gave to this worker, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fetch_table(work: Store, names: Sequence[str], directory: Path, tasks: Sequence[Task], samples: int) -> ImageTable:
    """Download Arrow files from `work` into a new directory and map `samples` of them, at most, as one table."""
    directory.mkdir()
    paths = []
    for number, name in enumerate(names):
        path = directory / f"{number:06d}.arrow"
        work.get(name, path)
        paths.append(path)
    cut_tables(paths, samples)
    return open_table(paths, kinds_of(tasks))
