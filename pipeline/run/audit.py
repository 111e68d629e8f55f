"""The audit: victims on several versions of the data, what their figures prove, and the evidence in `work`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.cluster.jobs import Job
from pipeline.configuration.plans import audit_plan, victim_plans
from pipeline.run.ingest import Source, ingest_all
from pipeline.run.session import Session
from pipeline.run.tables import fetch_files
from pipeline.run.victim_plans import attack_plans, plain_plans, words_of
from pipeline.run.victim_training import AuditData, Budget, VictimTraining
from pipeline.state.generators import upload_weights, weights_sha256
from pipeline.state.places import Places
from schemas.config import Config
from schemas.errors import ConfigError, MtlueError, ValidationError
from schemas.evidence import VERSIONS, Evidence, Leak
from schemas.model import fingerprint
from schemas.plans import IngestPlan, Noise
from schemas.records import ShardProfile, ShardRef, kind_of
from schemas.tasks import AnyTask
from schemas.training import Audit, LeakName
from stages.audit.leak_pairs import pairs_of
from stages.audit.leak_tests import LEAK_TESTS, unlisted
from stages.audit.verdict import reach_verdict
from stages.io.shards.layout import published_layout
from stages.io.shards.sample import key_hash
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


def evidence_state(config: Config, audit: Audit, places: Places, subject: str) -> str:
    """Fingerprint of all that decides the evidence about `subject`, whatever sample of the raw shards is looked at."""
    held_out = [[ref.name, ref.size, ref.etag] for ref in places.test_shards]
    victims = [plan.fingerprint for data in VERSIONS for plan in victim_plans(config, audit, data)]
    limits = [audit.max_samples, audit_plan(config, audit).fingerprint]
    rules = BINARY_RULES if any(task.yes_or_no for task in config.tasks) else RULES
    parts = [rules, subject, held_out, victims, limits, config.protected_tasks, audit.leaks]
    # Only where there are some: the evidence of audits without them stays found.
    more = [[*audit.tried]] if audit.tried else []
    weights = pretrained_sha256(audit)
    return fingerprint([*parts, *more, weights] if weights else [*parts, *more])


def pretrained_sha256(audit: Audit) -> str:
    """SHA-256 of the file of `audit.pretrained`; empty without one."""
    return weights_sha256(audit.pretrained.weights) if audit.pretrained is not None else ""


def find_evidence(work: Store, state: str) -> Evidence | None:
    """The evidence of an earlier audit under this fingerprint; None where it left something out, to go on with it."""
    name = f"{FOLDER}{state}.json"
    if work.stat(name) is None:
        return None
    evidence = read_record(work, name, Evidence, "remove it, and the generator is proven again")
    return None if evidence.left_out else evidence


def store_evidence(work: Store, evidence: Evidence) -> None:
    """Keep evidence under its fingerprint."""
    work.write(f"{FOLDER}{evidence.fingerprint}.json", evidence.model_dump_json().encode())


FEWEST_TO_SPLIT = 50
"""Minimum number of samples for a held-out split: the split is random, and a fifth of fewer samples may be empty."""


class Auditor:
    """The audit of one configuration.

    Args:
        session: the run's.
        audit: victims and their number of samples.
        seconds: that the victims may take; None: as long as it takes.
    """

    def __init__(self, session: Session, audit: Audit, seconds: float | None = None) -> None:
        self.session, self.audit, self.seconds = session, audit, seconds
        self.plan = audit_plan(session.config, audit)
        self.weights = pretrained_sha256(audit)

    def state(self, subject: str) -> str:
        """Fingerprint of the evidence about `subject`."""
        return evidence_state(self.session.config, self.audit, self.session.places, subject)

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
        session, config, places = self.session, self.session.config, self.session.places
        noise = Noise(epsilon=config.protection.epsilon, seed=config.train.seed)
        layout = published_layout(config.dataset.layout, config.protect.encoding)
        versions = {
            "clean": self._profiles("clean", places.source, raw, self.plan),
            "noise": self._profiles("noise", places.source, raw, self.plan.model_copy(update={"transforms": [noise]})),
            "protected": self._profiles(
                "protected", protected, published, self.plan.model_copy(update={"layout": layout})
            ),
        }
        data = AuditData(
            versions={name: _cached(found) for name, found in versions.items()},
            test=self.held_out(versions["clean"]),
            samples=self.audit.max_samples,
            split=places.test_source is None,
        )
        if self.audit.pretrained is not None:
            upload_weights(session.work, self.audit.pretrained.weights)
        training = VictimTraining(session, data, self._budget())
        training.train(plain_plans(config, self.audit), needed=2, share=0.5 if self.audit.tried else 1)
        training.train(attack_plans(config, self.audit, training.results, self.weights))
        training.train_left_out()
        # They came in the order of what they tell; the record has the order of every table.
        victims = sorted((victim for _, victim in training.results), key=lambda victim: VERSIONS.index(victim.data))
        left_out = [words_of(plan, seeded=self.audit.seeds > 1) for plan in training.left_out]
        evidence = reach_verdict(config.tasks, config.protected_tasks, victims, **about)
        found = self._leaks(data)
        if "unlisted" in self.audit.leaks:
            found += unlisted(evidence.tasks, evidence.test_samples)
        evidence = evidence.model_copy(update={"left_out": left_out, "leaks": found, "split": data.split})
        store_evidence(session.work, evidence)
        figures = {f"{data} best": score.best for data, score in evidence.means.items()}
        text = f"{evidence.word}: {evidence.sentence}"
        session.reporter.events.tell("evidence", "prove", text=text, figures={"chance": evidence.chance, **figures})
        return evidence

    def _leaks(self, data: AuditData) -> list[Leak]:
        """What pairs of clean and protected images give away; nothing where no test on pairs is asked for."""
        audit, session = self.audit, self.session
        if not set(audit.leaks) & LEAK_TESTS.keys():
            return []
        tasks, seed = session.config.tasks, session.config.train.seed
        work = partial(leaks_step, session.work, data.versions, audit.leaks, tasks, seed, data.samples)
        found: list[Leak] = []

        def failed(name: str, error: MtlueError) -> None:
            raise ValidationError(f"audit: {name}: {error}")

        session.each("leaks", [Job("leaks", work)], lambda _, leaks: found.extend(leaks), failed, count=1, unit="jobs")
        return found

    def _budget(self) -> Budget:
        cpus = self.session.config.compute.cpus
        return Budget(self.seconds, cpus if cpus != "auto" else os.cpu_count() or 1)

    def held_out(self, raw: Sequence[ShardProfile]) -> list[str]:
        """The tables of the clean held-out data; without `dataset.test_shards` those of the raw shards, to be split.

        Args:
            raw: profiles of the raw shards.

        Raises:
            ValidationError: a shard could not be read.
            ConfigError: a task has no label there, so no figure could be taken; too few samples to hold some out.
        """
        places, config = self.session.places, self.session.config
        if places.test_source is None:
            check_split(self.audit, sum(profile.samples for profile in raw))
            return _cached(raw)
        profiles = self._profiles("held-out", places.test_source, places.test_shards, self.plan)
        check_held_out(config, profiles)
        return _cached(profiles)

    def _profiles(self, name: str, store: Store, shards: Sequence[ShardRef], plan: IngestPlan) -> list[ShardProfile]:
        """Of one version of the data: of every version the same number of samples."""
        source = Source(f"audit: {name}", store, shards, plan)
        wanted = share(self.audit.max_samples, len(shards))
        found = ingest_all(self.session, source, limit=wanted, enough=wanted)
        if found.failures:
            raise kind_of(found.failures, ValidationError)(f"{source.step}: {found.failures[0].message}")
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
