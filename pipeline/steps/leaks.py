"""The step that looks at pairs of clean and protected images: what the protection gives away."""

from __future__ import annotations

from collections.abc import Sequence
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
    clean_tables: list[str],
    protected_tables: list[str],
    names: Sequence[LeakName],
    tasks: Sequence[AnyTask],
    wanted: Sequence[bool],
    seed: int,
    samples: int,
) -> list[Leak]:
    """Do the tests of these names on pairs from the tables of both versions, of which `samples` are kept at most."""
    with TemporaryDirectory(prefix="mtlue-leaks-") as directory:
        tables, keys = [], []
        for version, stored in (("clean", clean_tables), ("protected", protected_tables)):
            files = fetch_files(work, stored, Path(directory, version), samples)
            tables.append(open_table(files, kinds_of(tasks)))
            keys.append(key_hashes(files))
        pairs = pairs_of(tables[0], tables[1], (keys[0], keys[1]), tasks, wanted, seed)
        return [leak for name, test in LEAK_TESTS.items() if name in names for leak in test(pairs)]
