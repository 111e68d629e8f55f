"""Victims on several versions of the data, in parallel, each trained once, and what their figures prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.cluster.executor import Executor, Job
from pipeline.cluster.progress import Reporter
from pipeline.configuration.plans import attack_plans, audit_plan, victim_plans
from pipeline.driver.ingest import ingest_all
from pipeline.state.places import Places
from pipeline.steps.victim import victim_step
from schemas.config import Config
from schemas.errors import ConfigError, ValidationError
from schemas.evidence import Evidence, VictimResult
from schemas.fingerprints import fingerprint
from schemas.plans import IngestPlan, Noise, VictimPlan
from schemas.records import ShardProfile, ShardRef
from schemas.training import Audit
from stages.audit.curves import Place, strongest
from stages.audit.verdict import reach_verdict
from stages.io.shards.layout import published_layout
from stages.io.shards.names import key_hash
from stages.io.store.records import read_record
from stages.io.store.store import Store
from stages.learning.sampling import share

FOLDER = "evidence/"


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
    """

    def __init__(self, executor: Executor, reporter: Reporter, places: Places, config: Config, audit: Audit) -> None:
        self.executor, self.reporter, self.places = executor, reporter, places
        self.config, self.audit = config, audit

    def fingerprint(self, subject: str) -> str:
        """Of all that decides the evidence about `subject`, whatever sample of the raw shards is looked at."""
        held_out = [[ref.name, ref.size, ref.etag] for ref in self.places.test_shards]
        victims = [plan.fingerprint for plan in victim_plans(self.config, self.audit, "protected")]
        limits = [self.audit.max_samples, audit_plan(self.config, self.audit).fingerprint]
        parts = [subject, held_out, victims, limits, self.config.protected_tasks]
        # Only where there are some: the evidence of audits without them stays found.
        return fingerprint([*parts, self.audit.countermeasures] if self.audit.countermeasures else parts)

    def find(self, state: str) -> Evidence | None:
        """The evidence of an earlier audit under this fingerprint."""
        name = f"{FOLDER}{state}.json"
        if self.places.work.stat(name) is None:
            return None
        return read_record(self.places.work, name, Evidence, "remove it, and the generator is proven again")

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
        self, raw: Sequence[ShardRef], protected: Store, published: Sequence[ShardRef], **told: str
    ) -> Evidence:
        """Train the victims that were not trained yet, and store what their figures prove.

        Args:
            raw: the shards as they were.
            protected: where their protected twins lie.
            published: the twins.
            told: `audited` and `fingerprint` of the evidence.

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
        test = self.held_out()
        tables = {version.name: self._tables(version) for version in versions}
        plans = [plan for data in tables for plan in victim_plans(config, self.audit, data)]
        victims = self._victims(plans, tables, test)
        if self.audit.countermeasures:
            chosen = self._strongest(plans, victims)
            attacks = [plan for data in ("clean", "protected") for plan in attack_plans(self.audit, data, chosen)]
            victims += self._victims(attacks, tables, test)
        evidence = reach_verdict(config.tasks, config.protected_tasks, victims, **told)
        places.work.write(f"{FOLDER}{evidence.fingerprint}.json", evidence.model_dump_json().encode())
        return evidence

    def held_out(self) -> list[str]:
        """The tables of the clean held-out data.

        Raises:
            ValidationError: a shard could not be read.
            ConfigError: a task has no label there, so no figure could be taken.
        """
        places = self.places
        assert places.test_source is not None  # noqa: S101 - the configuration was checked
        plan = audit_plan(self.config, self.audit)
        profiles = self._profiles(Version("held-out", places.test_source, places.test_shards, plan))
        for task in self.config.tasks:
            if not any(profile.labelled(task.name) for profile in profiles):
                raise ConfigError(
                    f"audit: the held-out data (dataset.test_shards) has no label of task {task.name!r} (field "
                    f"{task.field!r}), so no figure of it can be taken; add labels, or remove the task"
                )
        return _cached(profiles)

    def _tables(self, version: Version) -> list[str]:
        return _cached(self._profiles(version))

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
            raise ValidationError(f"{what}: {found.failures[0].message}")
        return found.profiles

    def _strongest(self, plans: Sequence[VictimPlan], victims: Sequence[VictimResult]) -> VictimPlan:
        """The multi-task victim that learns most of protected data, at its best epoch, in what is to be protected."""
        tasks = zip(self.config.tasks, self.config.protected_tasks, strict=True)
        judged = [(task.name, task.metrics[0]) for task, wanted in tasks if wanted]
        chance = {name: line for victim in victims for name, line in victim.chance.items()}
        places = [Place(name, metric, chance[name][metric.name]) for name, metric in judged]
        found = [
            (strongest([victim], "protected", places).best, plan)
            for plan, victim in zip(plans, victims, strict=True)
            if plan.data == "protected" and plan.only is None
        ]
        return max(found, key=lambda each: each[0])[1]

    def _victims(
        self, plans: Sequence[VictimPlan], tables: dict[str, list[str]], test: list[str]
    ) -> list[VictimResult]:
        """Of each plan its victim, in that order; those that an earlier audit has trained are read."""
        work = self.places.work
        stored = {entry.name for entry in work.list("victims/")}
        results: dict[str, VictimResult] = {}
        names: list[str] = []
        jobs = []
        for plan in plans:
            train = tables[plan.data]
            state = fingerprint([plan.fingerprint, train, test, self.audit.max_samples])
            parts = [plan.data, plan.backbone, f"{plan.learning_rate:g}", "stl" if plan.only else ""]
            parts.append("" if plan.countermeasure == "none" else plan.countermeasure)
            name = f"victims/{'-'.join(filter(None, parts))}.{state}.json"
            names.append(name)
            if name in stored:
                results[name] = read_record(work, name, VictimResult, "remove it, and the victim is trained again")
            else:
                jobs.append(Job(name, (work, train, test, plan, self.audit.max_samples)))
        with self.reporter.step("victims", len(jobs), "models") as step:
            for outcome in self.executor.map(victim_step, jobs, gpu=True, length=self.audit.epochs):
                if outcome.result is None:
                    raise ValidationError(f"{outcome.name}: {outcome.error}")
                work.write(outcome.name, outcome.result.model_dump_json().encode())
                results[outcome.name] = outcome.result
                step.advance()
        return [results[name] for name in names]


def _cached(profiles: Sequence[ShardProfile]) -> list[str]:
    return [profile.cache for profile in profiles if profile.cache]
