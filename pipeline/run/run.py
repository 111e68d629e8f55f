"""The run: ingest → train → prove → protect → publish, each step doing only what is not done yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.cluster.executor import Executor
from pipeline.cluster.progress import Reporter
from pipeline.configuration.networks import check_networks
from pipeline.configuration.plans import ingest_plan, protect_plan, report_plan, train_plan
from pipeline.run.audit import Auditor
from pipeline.run.ingest import check_failed, check_quarantined, ingest_all
from pipeline.run.protect import Protected, protect_all
from pipeline.run.prove import prove
from pipeline.run.publish import publish, write_report
from pipeline.run.refusing import check_data, refuse_places
from pipeline.run.result import RunResult, empty_shards
from pipeline.run.shared_disks import check_shared
from pipeline.run.train import train_or_find
from pipeline.run.withdrawn import prune, withdrawn_shards
from pipeline.state.generators import fitting_generator
from pipeline.state.last import keep_config
from pipeline.state.lease import Lease
from pipeline.state.ledger import Ledger
from pipeline.state.owner import claim
from pipeline.state.places import LEFT_OUT, REPORT, Places
from pipeline.state.weights import upload_weights
from pipeline.state.written import adopt
from schemas.config import Config
from schemas.errors import EvidenceError
from schemas.evidence import Evidence
from schemas.records import (
    GeneratorRecord,
    LeftOut,
    Quarantined,
    ShardFailure,
    ShardProfile,
    ShardRecord,
    once_each,
    output_name,
)
from stages.audit.verdict import NOT_MEASURED
from stages.formatting import strays_text
from stages.ingest.drift import drift
from stages.learning.sampling import share
from stages.publish.strangers import CARD
from stages.report.before_after import sample_pairs
from stages.report.report_input import ReportInput
from stages.tasks.counts import label_doubts, rare_classes

T = TypeVar("T")


class Run:
    """One run of one configuration.

    Args:
        config: checked configuration.
        reporter: where progress goes.
        retrain: train a new generator even though one fits.
        take_over: publish into an `output` that another `work` owns; it is refused from then on.
        prune: remove published shards that have no input any more.
    """

    def __init__(
        self,
        config: Config,
        reporter: Reporter,
        *,
        retrain: bool = False,
        take_over: bool = False,
        prune: bool = False,
    ) -> None:
        self.config, self.reporter = config, reporter
        self.retrain, self.take_over, self.prune = retrain, take_over, prune
        self.failures: list[ShardFailure] = []
        self.seconds: dict[str, float] = {}

    def __call__(self) -> RunResult:
        """Do what is not done yet.

        Raises:
            EvidenceError: `audit.require` does not hold; the report says why, and nothing new was published.
            MtlueError: its class decides the exit code. Shards that fail on their own do not raise: they are in
                the result's `failures`, and the others went on.
        """
        check_networks(self.config)
        self.places = Places(self.config)
        self.places.check_writable()
        if exposed := self.places.work.public():
            self.reporter.say(
                f"work ({self.places.work.url}) is open to others: {exposed}; close it, or choose another place: "
                "whoever has the generator can undo the protection"
            )
        with Lease(self.places.work) as self.lease, Executor(self.config.compute) as self.executor:
            self.places.guard(self.lease.token)
            check_shared(self.executor, self.places)
            self.ledger = Ledger(self.places.work)
            self._refuse_places()
            self.places.sweep()
            keep_config(self.places.work, self.config)
            profiles = self._timed("ingest", self._ingest)
            generator = self._timed("train", lambda: self._train(profiles))
            evidence = self._timed("prove", lambda: self._prove(profiles, generator))
            protected = self._timed("protect", lambda: self._protect(profiles, generator))
            withdrawn = withdrawn_shards(self.places, self.ledger, profiles, protected.found)
            kept = self._kept(protected)
            records = sorted([*protected.records, *kept], key=lambda record: record.name)
            quarantined = self._left_out(profiles, records, [] if self.prune else withdrawn)
            check_failed(self.config, self.failures, len(self.places.shards))
            check_quarantined(self.config, quarantined, profiles)
            report_input = self._report_input(profiles, generator, records, evidence)
            manifest = self._timed("publish", lambda: publish(self.places, report_input))
            if self.prune:
                prune(self.places, self.ledger, withdrawn)
            self.ledger.save()
        return RunResult(
            manifest,
            records,
            self.failures,
            quarantined,
            evidence,
            self.places.work.join(REPORT),
            protected.before,
            kept=[record.name for record in kept],
            empty=empty_shards(profiles),
            withdrawn=[] if self.prune else withdrawn,
            pruned=withdrawn if self.prune else [],
            passed_by=self._passed_by(profiles),
            seconds=self.seconds,
        )

    def _refuse_places(self) -> None:
        """End the run before any work when something is in `output` or `work` that may not be there."""
        found = self.places.output.list()
        there = refuse_places(self.places, self.ledger, found, retrain=self.retrain, take_over=self.take_over)
        if there.readme:
            self.reporter.say(f"publish: README.md in `output` is not of mtlue, so it stays; the card is {CARD}")

    def _report_input(
        self,
        profiles: Sequence[ShardProfile],
        generator: GeneratorRecord,
        records: Sequence[ShardRecord],
        evidence: Evidence,
    ) -> ReportInput:
        """What the report is made of."""
        plan = report_plan(self.config)
        return ReportInput(plan, profiles, generator, records, self.failures, evidence, self.seconds)

    def _timed(self, step: str, action: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return action()
        finally:
            self.seconds[step] = time.monotonic() - started

    def _ingest(self) -> list[ShardProfile]:
        places = self.places
        wanted = share(self.config.train.max_samples, len(places.shards))
        found = ingest_all(
            self.executor,
            self.reporter,
            places.source,
            places.shards,
            places.work,
            ingest_plan(self.config),
            limit=wanted,
            enough=-(-wanted // 2),
        )
        profiles = found.profiles
        self.failures += found.failures
        self._left_out(profiles, [])
        check_data(self.config, places, self.ledger, profiles, found.failures, shards=len(places.shards))
        for sentence in self._passed_by(profiles):
            self.reporter.say(f"ingest: {sentence}")
        tasks, batch_size = self.config.tasks, self.config.train.batch_size
        for doubt in (*label_doubts(tasks, profiles), *rare_classes(tasks, profiles, batch_size)):
            self.reporter.say(f"ingest: {doubt}")
        for difference in drift(self.config.tasks, found.before, found.later):
            self.reporter.say(
                f"ingest: new shards ({len(found.later)}) are unlike those before: {difference}; the generator has not "
                "seen such data; prove it again with `mtlue audit`, or --retrain"
            )
        return profiles

    def _passed_by(self, profiles: Sequence[ShardProfile]) -> list[str]:
        """What lies among the data and was not read, a sentence for each kind."""
        return [*self.places.passed_by, *strays_text(profiles)]

    def _train(self, profiles: Sequence[ShardProfile]) -> GeneratorRecord:
        plan, work = train_plan(self.config), self.places.work
        for path in self.config.train.weights.values():
            upload_weights(work, path)
        if self.config.audit is not None and (self.retrain or fitting_generator(work, plan) is None):
            # Held-out data that could prove nothing ends the run before the training, not after it.
            Auditor(self.executor, self.reporter, self.places, self.config, self.config.audit).held_out(profiles)
        for sentence in self.config.choice:
            self.reporter.say(f"train: {sentence}")
        return train_or_find(self.executor, self.reporter, work, plan, profiles, retrain=self.retrain)

    def _prove(self, profiles: list[ShardProfile], generator: GeneratorRecord) -> Evidence:
        """The evidence about this generator; nothing is public yet that it made.

        Raises:
            EvidenceError: it does not meet `audit.require`.
        """
        config, places = self.config, self.places
        if config.audit is None:
            return NOT_MEASURED
        proof = prove(Auditor(self.executor, self.reporter, places, config, config.audit), profiles, generator)
        if not proof.evidence.passed:
            first = proof.shards[0]
            report_input = self._report_input(profiles, generator, [], proof.evidence)
            there = bool(proof.place.list())
            pictures = sample_pairs(places.source, first, proof.place, report_input.plan.published) if there else []
            write_report(places, report_input, pictures)
            reasons = "\n".join(f"  {shortfall}" for shortfall in proof.evidence.shortfalls)
            raise EvidenceError(
                f"the evidence does not meet audit.require, so nothing new was published:\n{reasons}\n"
                f"The report tells more: {places.work.join(REPORT)}"
            )
        return proof.evidence

    def _protect(self, profiles: Sequence[ShardProfile], generator: GeneratorRecord) -> Protected:
        adopt(self.places, self.ledger, take_over=self.take_over)
        claim(self.places, self.lease.token, take_over=self.take_over)
        readable = {profile.name for profile in profiles if profile.samples}
        protected = protect_all(
            self.executor,
            self.reporter,
            self.places,
            self.lease,
            self.ledger,
            [ref for ref in self.places.shards if ref.name in readable],
            protect_plan(self.config, generator.content),
            generator,
        )
        self.failures = sorted(self.failures + protected.failures, key=lambda failure: failure.name)
        return protected

    def _kept(self, protected: Protected) -> list[ShardRecord]:
        """The last good records of shards that failed: what an earlier run has checked and published stays listed."""
        failed = {output_name(failure.name) for failure in self.failures}
        return self.ledger.last_good(failed, self.config.protection.bound, protected.found)

    def _left_out(
        self, profiles: Sequence[ShardProfile], records: Sequence[ShardRecord], withdrawn: Sequence[str] = ()
    ) -> list[Quarantined]:
        """Write what was left out, and why, to `work`; also when there is nothing, so that the file is always true."""
        found = [sample for profile in profiles for sample in profile.quarantined]
        found += [sample for record in records for sample in record.quarantined]
        quarantined = once_each(found)
        left_out = LeftOut(
            quarantined=quarantined,
            failures=self.failures,
            empty=empty_shards(profiles),
            withdrawn=list(withdrawn),
            passed_by=self._passed_by(profiles),
        )
        self.places.work.write(LEFT_OUT, left_out.model_dump_json(indent=1).encode())
        return quarantined
