"""The step that looks at pairs of clean and protected images: what the protection gives away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.steps.worker import fetch_files
from schemas.evidence import Leak
from schemas.tasks import AnyTask
from schemas.training import LeakName
from stages.audit.leaks.base import pairs_of
from stages.audit.leaks.registry import LEAK_TESTS
from stages.io.store.store import Store
from stages.learning.sampling import key_hashes
from stages.learning.table import open_table
from stages.tasks.registry import kinds_of


def leaks_step(
    work: Store,
    tables: Mapping[str, list[str]],
    names: Sequence[LeakName],
    tasks: Sequence[AnyTask],
    seed: int,
    samples: int,
) -> list[Leak]:
    """Do the tests of these names on pairs from the tables of each version, of which `samples` are kept at most."""
    with TemporaryDirectory(prefix="mtlue-leaks-") as directory:
        files = {name: fetch_files(work, stored, Path(directory, name), samples) for name, stored in tables.items()}
        opened = {name: open_table(paths, kinds_of(tasks)) for name, paths in files.items()}
        pairs = pairs_of(opened, {name: key_hashes(paths) for name, paths in files.items()}, tasks, seed)
        return [leak for name, test in LEAK_TESTS.items() if name in names for leak in test(pairs)]
