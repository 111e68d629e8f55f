"""What runs inside a worker: a stage with its places opened, small records in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from schemas.config import Audit, Config
from schemas.records import GeneratorRecord, ShardRecord, ShardRef, VictimResult
from stages.audit.victims import train_victim
from stages.io.store.store import Store
from stages.learning.table import ImageTable, open_table
from stages.models.checkpoint import cached_generator, serialise, weights_name
from stages.protect.protect import protect_shard
from stages.train.train import train_generator


def device() -> torch.device:
    """The first GPU that Ray gave to this worker, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fetch_tables(work: Store, names: list[str], directory: str) -> ImageTable:
    """Download Arrow files from `work` and map them as one table."""
    paths = []
    for number, name in enumerate(names):
        path = Path(directory, f"{number:06d}.arrow")
        work.get(name, path)
        paths.append(path)
    return open_table(paths)


def train_step(
    work: Store,
    tables: list[str],
    config: Config,
    fingerprint: str,
    settings: str,
    report: Callable[[str, int, int], None],
) -> GeneratorRecord:
    """Train the generator on the cached tables and store its weights; the caller stores the record."""
    with TemporaryDirectory(prefix="mtlue-train-") as directory:
        table = fetch_tables(work, tables, directory)
        trained = train_generator(
            table,
            config.train,
            class_counts=[task.class_count for task in config.tasks],
            protected=config.protected_tasks,
            epsilon=config.protection.epsilon,
            device=device(),
            report=report,
        )
    data = serialise(trained.generator)
    work.write(weights_name(fingerprint), data)
    return GeneratorRecord(
        fingerprint=fingerprint,
        settings=settings,
        preset=config.train.generator,
        resolution=config.train.resolution,
        epsilon=config.protection.epsilon,
        class_counts=[task.class_count for task in config.tasks],
        protected=config.protected_tasks,
        sha256=hashlib.sha256(data).hexdigest(),
        samples=len(table),
        steps=trained.steps,
        seconds=trained.seconds,
        losses=trained.losses,
    )


def protect_step(
    source: Store, ref: ShardRef, output: Store, work: Store, config: Config, record: GeneratorRecord, identity: str
) -> ShardRecord:
    """Protect and publish one shard."""
    return protect_shard(source, ref, output, config, cached_generator(work, record, device()), identity)


def victim_step(
    work: Store,
    train_tables: list[str],
    test_tables: list[str],
    audit: Audit,
    config: Config,
    data: str,
    backbone: str,
    seed: int,
) -> VictimResult:
    """Train one victim on the tables of one version of the data."""
    with TemporaryDirectory(prefix="mtlue-audit-") as directory:
        for split in ("train", "test"):
            Path(directory, split).mkdir()
        return train_victim(
            fetch_tables(work, train_tables, f"{directory}/train"),
            fetch_tables(work, test_tables, f"{directory}/test"),
            audit,
            data=data,
            backbone=backbone,
            tasks=config.tasks,
            kinds=config.train.augment,
            seed=seed,
            device=device(),
        )
