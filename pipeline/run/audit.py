"""Victims on several versions of the data, in parallel, each trained once, and what their figures prove."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.cluster.executor import Executor
from pipeline.cluster.jobs import Job
from pipeline.cluster.progress import Reporter
from pipeline.configuration.plans import audit_plan, victim_plans
from pipeline.run.ingest import ingest_all
from pipeline.run.tables import fetch_files
from pipeline.run.victim_plans import attack_plans, plain_plans, words_of
from pipeline.run.victims import Budget, VictimTraining
from pipeline.state.left_out import kind_of
from pipeline.state.places import Places
from pipeline.state.weights import upload_weights, weights_sha256
from schemas.config import Config
from schemas.errors import ConfigError, ValidationError
from schemas.evidence import VERSIONS, Evidence, Leak
from schemas.fingerprints import fingerprint
from schemas.plans import IngestPlan, Noise
from schemas.records import ShardProfile, ShardRef
from schemas.tasks import AnyTask
from schemas.training import Audit, LeakName
from stages.audit.leaks.pairs import pairs_of
from stages.audit.leaks.registry import LEAK_TESTS
from stages.audit.leaks.unlisted import unlisted
from stages.audit.verdict import reach_verdict
from stages.io.shards.layout import published_layout
from stages.io.shards.names import key_hash
from stages.io.store.records import read_record
from stages.io.store.store import Store
from stages.learning.sampling import key_hashes, share
from stages.learning.table import open_table
from stages.tasks.kinds import kinds_of

FOLDER = "evidence/"

RULES = "2"
"""Of the verdict, for the fingerprint of evidence. 2: victims that learn little from clean images judge nothing."""

BINARY_RULES = "3"
"""The same where a task is yes or no. 3: AUC decides such a task, not balanced accuracy."""

FEWEST_TO_SPLIT = 50
"""Samples of which a fifth can be held out: none is so less than once in 50,000 times."""


@dataclass(frozen=True)
class Version:
    """One version of the data that victims are trained on, or tested on: where it lies, and what is done to it."""

    name: str
    source: Store
    shards: Sequence[ShardRef]
    plan: IngestPlan


class Auditor:
    """The audit of one configuration.

    Args:
        executor: where victims are trained.
        reporter: where progress goes.
        places: raw data, held-out data, and `work`, in which tables, victims and evidence are kept.
        config: tasks and training.
        audit: victims and their number of samples.
        seconds: that the victims may take; None: as long as it takes.
    """

    def __init__(
        self,
        executor: Executor,
        reporter: Reporter,
        places: Places,
        config: Config,
        audit: Audit,
        seconds: float | None = None,
    ) -> None:
        self.executor, self.reporter, self.places = executor, reporter, places
        self.config, self.audit, self.seconds = config, audit, seconds

    def fingerprint(self, subject: str) -> str:
        """Of all that decides the evidence about `subject`, whatever sample of the raw shards is looked at."""
        held_out = [[ref.name, ref.size, ref.etag] for ref in self.places.test_shards]
        victims = [plan.fingerprint for data in VERSIONS for plan in victim_plans(self.config, self.audit, data)]
        limits = [self.audit.max_samples, audit_plan(self.config, self.audit).fingerprint]
        rules = BINARY_RULES if any(task.kind == "binary" for task in self.config.tasks) else RULES
        parts = [rules, subject, held_out, victims, limits, self.config.protected_tasks, self.audit.leaks]
        # Only where there are some: the evidence of audits without them stays found.
        more = [[*self.audit.tried]] if self.audit.tried else []
        return fingerprint([*parts, *more, self.weights] if self.weights else [*parts, *more])

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the file of `audit.pretrained`; empty without one."""
        given = self.audit.pretrained
        return weights_sha256(given.weights) if given is not None else ""

    def find(self, state: str) -> Evidence | None:
        """The evidence of an earlier audit under this fingerprint; one that left something out is gone on with."""
        name = f"{FOLDER}{state}.json"
        if self.places.work.stat(name) is None:
            return None
        evidence = read_record(self.places.work, name, Evidence, "remove it, and the generator is proven again")
        return None if evidence.left_out else evidence

    def sample(self, shards: Sequence[ShardRef], samples: dict[str, int]) -> list[ShardRef]:
        """Shards that hold `audit.max_samples` samples together, chosen by the hash of their names.

        Args:
            shards: raw shards.
            samples: shard's name → its samples.
        """
        chosen: list[ShardRef] = []
        for ref in sorted(shards, key=lambda ref: key_hash(ref.name)):
            if sum(samples[each.name] for each in chosen) >= self.audit.max_samples:
                break
            chosen.append(ref)
        return sorted(chosen, key=lambda ref: ref.name)

    def examine(
        self, raw: Sequence[ShardRef], protected: Store, published: Sequence[ShardRef], **about: str
    ) -> Evidence:
        """Train the victims that were not trained yet, and store what their figures prove.

        Args:
            raw: the shards as they were.
            protected: where their protected twins lie.
            published: the twins.
            about: `audited` and `fingerprint` of the evidence.

        Raises:
            ValidationError: a shard could not be read, or a victim not be trained; there is no evidence without it.
        """
        places, config = self.places, self.config
        plan = audit_plan(config, self.audit)
        noise = Noise(epsilon=config.protection.epsilon, seed=config.train.seed)
        layout = published_layout(config.dataset.layout, config.protect.encoding)
        versions = [
            Version("clean", places.source, raw, plan),
            Version("noise", places.source, raw, plan.model_copy(update={"transforms": [noise]})),
            Version("protected", protected, published, plan.model_copy(update={"layout": layout})),
        ]
        profiles = {version.name: self._profiles(version) for version in versions}
        tables = {name: _cached(found) for name, found in profiles.items()}
        split = places.test_source is None
        test = self.held_out(profiles["clean"])
        if self.audit.pretrained is not None:
            upload_weights(self.places.work, self.audit.pretrained.weights)
        training = VictimTraining(
            self.executor, self.reporter, places.work, tables, test, self.audit.max_samples, self._budget(), split=split
        )
        training.train(plain_plans(config, self.audit), needed=2, share=0.5 if self.audit.tried else 1)
        training.train(attack_plans(config, self.audit, training.results, self.weights))
        training.train_left_out()
        # They came in the order of what they tell; the record has the order of every table.
        victims = sorted((victim for _, victim in training.results), key=lambda victim: VERSIONS.index(victim.data))
        left_out = [words_of(plan, seeded=self.audit.seeds > 1) for plan in training.left_out]
        evidence = reach_verdict(config.tasks, config.protected_tasks, victims, **about)
        found = self._leaks(tables)
        if "unlisted" in self.audit.leaks:
            found += unlisted(evidence.tasks, evidence.test_samples)
        evidence = evidence.model_copy(update={"left_out": left_out, "leaks": found, "split": split})
        places.work.write(f"{FOLDER}{evidence.fingerprint}.json", evidence.model_dump_json().encode())
        return evidence

    def _leaks(self, tables: dict[str, list[str]]) -> list[Leak]:
        """What pairs of clean and protected images give away; nothing where no test on pairs is asked for."""
        audit, config = self.audit, self.config
        if not set(audit.leaks) & LEAK_TESTS.keys():
            return []
        given = (self.places.work, tables, audit.leaks, config.tasks, config.train.seed, audit.max_samples)
        job = Job("leaks", given)
        (outcome,) = self.executor.map(leaks_step, [job])
        if outcome.result is None:
            raise ValidationError(f"audit: leaks: {outcome.error}")
        return outcome.result

    def _budget(self) -> Budget:
        cpus = self.config.compute.cpus
        return Budget(self.seconds, cpus if cpus != "auto" else os.cpu_count() or 1)

    def held_out(self, raw: Sequence[ShardProfile]) -> list[str]:
        """The tables of the clean held-out data; without `dataset.test_shards` those of the raw shards, to be split.

        Args:
            raw: profiles of the raw shards.

        Raises:
            ValidationError: a shard could not be read.
            ConfigError: a task has no label there, so no figure could be taken; too few samples to hold some out.
        """
        places = self.places
        if places.test_source is None:
            check_split(self.audit, sum(profile.samples for profile in raw))
            return _cached(raw)
        plan = audit_plan(self.config, self.audit)
        profiles = self._profiles(Version("held-out", places.test_source, places.test_shards, plan))
        check_held_out(self.config, profiles)
        return _cached(profiles)

    def _profiles(self, version: Version) -> list[ShardProfile]:
        what = f"audit: {version.name}"
        wanted = share(self.audit.max_samples, len(version.shards))
        found = ingest_all(
            self.executor,
            self.reporter,
            version.source,
            version.shards,
            self.places.work,
            version.plan,
            what,
            limit=wanted,
            enough=wanted,  # of every version the same samples
        )
        if found.failures:
            raise kind_of(found.failures, ValidationError)(f"{what}: {found.failures[0].message}")
        return found.profiles


def check_split(audit: Audit, samples: int) -> None:
    """Raise ConfigError when too few samples are there to hold some out; asked where there are no held-out shards."""
    count = min(audit.max_samples, samples)
    if count < FEWEST_TO_SPLIT:
        raise ConfigError(
            f"audit: there is no dataset.test_shards, and {count} samples are too few to hold some out "
            f"({FEWEST_TO_SPLIT} at least); set dataset.test_shards, or set audit to null"
        )


def check_held_out(config: Config, profiles: Sequence[ShardProfile]) -> None:
    """Raise ConfigError when a task has no label in the held-out shards, so that no figure could be taken."""
    for task in config.tasks:
        if not any(profile.labelled(task.name) for profile in profiles):
            raise ConfigError(
                f"audit: the held-out data (dataset.test_shards) has no label of task {task.name!r} (field "
                f"{task.field!r}), so no figure of it can be taken; add labels, or remove the task"
            )


def _cached(profiles: Sequence[ShardProfile]) -> list[str]:
    return [profile.cache for profile in profiles if profile.cache]


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
