"""The run: ingest → train → protect → audit → publish, each step doing only what is not done yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.cluster.executor import Executor, Job
from pipeline.cluster.progress import Reporter
from pipeline.driver.audit import audit_run
from pipeline.driver.ingest import check_profiles, check_quarantined, failure_of, failure_text, ingest_all, table_plan
from pipeline.driver.publish import publish
from pipeline.state.generators import fitting_generator, settings_of
from pipeline.state.lease import Lease
from pipeline.state.ledger import Ledger, identity_of
from pipeline.state.places import GENERATOR, LEFT_OUT, REPORT, Places
from pipeline.steps.steps import protect_step, train_step
from schemas.config import Config
from schemas.errors import InputError, LeaseError, MtlueError, RefusedInputError
from schemas.records import (
    AuditRecord,
    GeneratorRecord,
    LeftOut,
    Manifest,
    Quarantined,
    ShardFailure,
    ShardProfile,
    ShardRecord,
    fingerprint,
    once_each,
)
from stages.publish.manifest import MANIFEST, read_manifest

T = TypeVar("T")


@dataclass(frozen=True)
class RunResult:
    """What a run did, for the last lines on the terminal and for `--json`."""

    manifest: Manifest
    records: list[ShardRecord]
    failures: list[ShardFailure]
    quarantined: list[Quarantined]
    audit: AuditRecord | None
    report: str
    """URL of the HTML report."""
    done_before: int
    """Shards that an earlier run had published; none of their images was read."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each step."""


class Run:
    """One run of one configuration.

    Args:
        config: checked configuration.
        reporter: where progress goes.
        retrain: train a new generator even though one fits.
    """

    def __init__(self, config: Config, reporter: Reporter, *, retrain: bool = False) -> None:
        self.config, self.reporter, self.retrain = config, reporter, retrain
        self.failures: list[ShardFailure] = []
        self.seconds: dict[str, float] = {}

    def __call__(self) -> RunResult:
        """Do what is not done yet.

        Raises:
            MtlueError: its class decides the exit code. Shards that fail on their own do not raise: they are in
                the result's `failures`, and the others went on.
        """
        self.places = Places(self.config)
        self.places.check_writable()
        self.ledger = Ledger(self.places.work)
        with Lease(self.places.work) as self.lease, Executor(self.config.compute) as self.executor:
            profiles = self._timed("ingest", self._ingest)
            generator = self._timed("train", lambda: self._train(profiles))
            records, before = self._timed("protect", lambda: self._protect(profiles, generator))
            quarantined = self._left_out(profiles, records)
            check_quarantined(self.config, quarantined, profiles)
            audit = self._timed("audit", lambda: self._audit(records))
            changed = before < len(records)
            manifest = self._timed(
                "publish",
                lambda: publish(
                    self.config,
                    self.places,
                    profiles,
                    generator,
                    records,
                    self.failures,
                    audit,
                    changed=changed,
                    seconds=self.seconds,
                ),
            )
        report = self.places.work.join(REPORT)
        return RunResult(manifest, records, self.failures, quarantined, audit, report, before, self.seconds)

    def _timed(self, step: str, action: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return action()
        finally:
            self.seconds[step] = time.monotonic() - started

    def _ingest(self) -> list[ShardProfile]:
        places = self.places
        plan = table_plan(self.config, shards=len(places.shards))
        profiles, failures = ingest_all(self.executor, self.reporter, places.source, places.shards, places.work, plan)
        self.failures += failures
        self._left_out(profiles, [])
        self._refuse_protected(profiles)
        check_profiles(self.config, profiles, failures)
        return profiles

    def _refuse_protected(self, profiles: list[ShardProfile]) -> None:
        """Noise upon noise would break the bound: what mtlue has published is no input.

        It is known by its checksum, from this ledger or from the manifest that a published prefix holds.
        """
        published = {record.sha256 for record in self.ledger.read(sorted(self.ledger.identities().values()))}
        for folder in sorted({profile.name.rpartition("/")[0] for profile in profiles}):
            with suppress(InputError):  # no manifest, or one of another tool
                manifest = read_manifest(self.places.source, f"{folder}/{MANIFEST}".lstrip("/"))
                published.update(shard.sha256 for shard in manifest.shards)
        for profile in profiles:
            if profile.sha256 in published:
                raise RefusedInputError(
                    f"shard {profile.name}: these bytes are a protected shard that mtlue published; point "
                    "dataset.shards at the raw data"
                )

    def _train(self, profiles: list[ShardProfile]) -> GeneratorRecord:
        """The generator of this configuration: the one that is there, or a new one."""
        config, work = self.config, self.places.work
        settings = settings_of(config)
        state = fingerprint([settings, sorted(profile.sha256 for profile in profiles)])
        current = None if self.retrain else fitting_generator(work, config)
        if current is not None:
            if current.fingerprint != state:
                self.reporter.say(
                    "train: the data changed since the generator was trained; it is used as it is "
                    "(--retrain trains a new one and protects every shard again)"
                )
            return current
        tables = [profile.cache for profile in profiles if profile.cache]
        with self.reporter.step("train", config.train.epochs, "epochs") as step:
            record = self.executor.stream(
                train_step,
                (work, tables, config, state, settings),
                lambda what, done, total: step.advance_to(done, what=f"train: {what}", total=total),
            )
        text = record.model_dump_json().encode()
        work.write(f"generators/{state}.json", text)
        work.write(GENERATOR, text)
        return record

    def _protect(self, profiles: list[ShardProfile], generator: GeneratorRecord) -> tuple[list[ShardRecord], int]:
        """Records of every published shard, and how many of them an earlier run had published."""
        config, places = self.config, self.places
        readable = {profile.name for profile in profiles if profile.samples}
        shards = [ref for ref in places.shards if ref.name in readable]
        done = self.ledger.done(shards, config, generator, places.output.list())
        before = len(done)
        finished = {record.identity for record in done}
        jobs = []
        for ref in shards:
            identity = identity_of(ref, config, generator)
            if identity not in finished:
                jobs.append(
                    Job(ref.name, (places.source, ref, places.output, places.work, config, generator, identity))
                )
        self.ledger.forget({ref.output_name for ref in shards} - {record.name for record in done})
        with self.reporter.step("protect", len(jobs), "shards") as step:
            for outcome in self.executor.map(protect_step, jobs, gpu=True):
                self.lease.check()
                if isinstance(outcome.error, RefusedInputError | LeaseError):
                    raise outcome.error
                if outcome.error is not None:
                    self.failures.append(failure_of(outcome.name, "protect", outcome.error))
                    self.reporter.say(f"protect: {failure_text(self.failures[-1])}")
                elif outcome.result is not None:
                    self.ledger.add(outcome.result)
                    done.append(outcome.result)
                step.advance()
        self.failures.sort(key=lambda failure: failure.name)  # they came as the workers were ready
        if not done:
            raise InputError(f"no shard could be protected; the first: {failure_text(self.failures[0])}")
        return sorted(done, key=lambda record: record.name), before

    def _left_out(self, profiles: list[ShardProfile], records: list[ShardRecord]) -> list[Quarantined]:
        """Write what was left out, and why, to `work`; also when there is nothing, so that the file is always true."""
        found = [sample for profile in profiles for sample in profile.quarantined]
        found += [sample for record in records for sample in record.quarantined]
        quarantined = once_each(found)
        left_out = LeftOut(quarantined=quarantined, failures=self.failures)
        self.places.work.write(LEFT_OUT, left_out.model_dump_json(indent=1).encode())
        return quarantined

    def _audit(self, records: list[ShardRecord]) -> AuditRecord | None:
        if self.config.audit is None:
            return None
        return audit_run(self.executor, self.reporter, self.places, self.config, self.config.audit, records)


def exit_code(result: RunResult) -> int:
    """0 when every planned shard is published, else 1."""
    return MtlueError.exit_code if result.failures else 0
