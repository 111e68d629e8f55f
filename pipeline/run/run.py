"""The run: ingest → train → prove → protect → publish, each step doing only what is not done yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.cluster.progress import Reporter
from pipeline.run.audit import Auditor
from pipeline.run.certify import certify
from pipeline.run.checks import check_data, check_networks, refuse_places
from pipeline.run.ingest import Source, check_failed, check_quarantined, ingest_all
from pipeline.run.protect import Protected, protect_all
from pipeline.run.prove import prove
from pipeline.run.publish import prune, publish, withdrawn_shards, write_report
from pipeline.run.result import RunResult, empty_shards, exit_code
from pipeline.run.session import Session, open_session
from pipeline.run.train import train_or_find
from pipeline.state.generators import fitting_generator, upload_weights
from pipeline.state.last_run import keep_config
from pipeline.state.places import LEFT_OUT, REPORT, Places
from pipeline.state.written import adopt
from pipeline.trackers.trackers import check_trackers
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
    shard_stem,
)
from stages.audit.verdict import NOT_MEASURED
from stages.formatting import strays_text, unused_members_text
from stages.ingest.drift import drift
from stages.learning.sampling import share
from stages.publish.public_files import CARD
from stages.publish.signature import check_key
from stages.report.pictures import sample_pairs
from stages.report.report_input import ReportInput
from stages.tasks.counts import label_doubts, rare_classes

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What a run is asked for on the command line."""

    retrain: bool = False
    """Train a new generator even though one fits."""
    take_over: bool = False
    """Publish into an `output` that another `work` owns; it is refused from then on."""
    prune: bool = False
    """Remove published shards that have no input any more."""


def run(
    config: Config, reporter: Reporter, *, retrain: bool = False, take_over: bool = False, prune: bool = False
) -> RunResult:
    """Do what is not done yet; the options are those of `Options`.

    Args:
        config: checked configuration.
        reporter: where progress goes.
        retrain, take_over, prune: as `Options`.

    Raises:
        EvidenceError: `audit.require` does not hold; the report says why, and nothing new was published.
        MtlueError: its class decides the exit code. Shards that fail on their own do not raise: they are in
            the result's `failures`, and the others went on.
    """
    check_networks(config)
    check_trackers(config)
    if config.sign_with:
        check_key(config.sign_with)
    places = Places(config)
    places.check_writable()
    if exposed := places.work.public():
        reporter.say(
            f"work ({places.work.url}) is open to others: {exposed}; close it, or choose another place: "
            "whoever has the generator can undo the protection"
        )
    with open_session(config, reporter, places) as session:
        result = Run(session, Options(retrain, take_over, prune)).result()
        figures = {f"seconds {step}": round(value, 3) for step, value in result.seconds.items()}
        reporter.events.tell("ended", figures={"exit_code": exit_code(result), **figures})
        return result


class Run:
    """One run in an open session."""

    def __init__(self, session: Session, options: Options) -> None:
        self.session, self.options = session, options
        self.config, self.plans, self.reporter = session.config, session.plans, session.reporter
        self.failures: list[ShardFailure] = []
        self.seconds: dict[str, float] = {}

    def result(self) -> RunResult:
        """All steps, one after the other (errors: `run`)."""
        session, config, places, ledger = self.session, self.config, self.session.places, self.session.ledger
        self._refuse_places()
        places.sweep()
        keep_config(places.work, config)
        profiles = self._timed("ingest", self._ingest)
        generator = self._timed("train", lambda: self._train(profiles))
        evidence = self._timed("prove", lambda: self._prove(profiles, generator))
        adopt(places, ledger, take_over=self.options.take_over)
        owner = session.claimed(take_over=self.options.take_over)
        protected = self._timed("protect", lambda: self._protect(owner, profiles, generator))
        withdrawn = withdrawn_shards(owner.places, ledger, profiles, protected.found)
        kept = self._kept(protected)
        records = sorted([*protected.records, *kept], key=lambda record: record.name)
        quarantined = self._left_out(profiles, records, [] if self.options.prune else withdrawn)
        check_failed(config, self.failures, len(places.shards))
        check_quarantined(config, quarantined, profiles)
        report_input = self._report_input(profiles, generator, records, evidence)
        manifest = self._timed("publish", lambda: publish(owner.places, report_input))
        certify(owner.places, self.plans.publish, evidence, config.sign_with)
        if self.options.prune:
            prune(owner.places, ledger, withdrawn)
        ledger.save()
        return RunResult(
            manifest,
            records,
            self.failures,
            quarantined,
            evidence,
            places.work.join(REPORT),
            protected.before,
            kept=[record.name for record in kept],
            empty=empty_shards(profiles),
            withdrawn=[] if self.options.prune else withdrawn,
            pruned=withdrawn if self.options.prune else [],
            passed_by=self._passed_by(profiles),
            seconds=self.seconds,
        )

    def _refuse_places(self) -> None:
        """End the run before any work when something is in `output` or `work` that may not be there."""
        places, options = self.session.places, self.options
        there = refuse_places(
            places, self.session.ledger, places.output.list(), retrain=options.retrain, take_over=options.take_over
        )
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
        return ReportInput(self.plans.report, profiles, generator, records, self.failures, evidence, self.seconds)

    def _timed(self, step: str, action: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return action()
        finally:
            self.seconds[step] = time.monotonic() - started

    def _ingest(self) -> list[ShardProfile]:
        places, plan = self.session.places, self.plans.ingest
        wanted = share(self.config.train.max_samples, len(places.shards))
        source = Source("ingest", places.source, places.shards, plan)
        found = ingest_all(self.session, source, limit=wanted, enough=-(-wanted // 2))
        profiles = found.profiles
        self.failures += found.failures
        self._left_out(profiles, [])
        check_data(self.config, places, self.session.ledger, profiles, found.failures, shards=len(places.shards))
        for sentence in self._passed_by(profiles):
            self.reporter.say(f"ingest: {sentence}")
        for doubt in label_doubts(self.config.tasks, profiles):
            self.reporter.say(f"ingest: {doubt}")
        for difference in drift(self.config.tasks, found.before, found.later):
            self.reporter.say(
                f"ingest: new shards ({len(found.later)}) are unlike those before: {difference}; the generator has not "
                "seen such data; prove it again with `mtlue audit`, or --retrain"
            )
        return profiles

    def _passed_by(self, profiles: Sequence[ShardProfile]) -> list[str]:
        """What lies among the data and was not read, a sentence for each kind."""
        unused = unused_members_text(self.config.dataset.layout, profiles)
        return [*self.session.places.passed_by, *strays_text(profiles), *unused]

    def _train(self, profiles: Sequence[ShardProfile]) -> GeneratorRecord:
        config, work = self.config, self.session.work
        for path in config.train.weights.values():
            upload_weights(work, path)
        if self.options.retrain or fitting_generator(work, self.plans.train) is None:
            for sentence in (*rare_classes(config.tasks, profiles, config.train.batch_size), *config.choice):
                self.reporter.say(f"train: {sentence}")
            if config.audit is not None:
                # Held-out data that could prove nothing ends the run before the training, not after it.
                Auditor(self.session, config.audit).held_out(profiles)
        return train_or_find(self.session, profiles, retrain=self.options.retrain)

    def _prove(self, profiles: list[ShardProfile], generator: GeneratorRecord) -> Evidence:
        """The evidence about this generator; nothing is public yet that it made.

        Raises:
            EvidenceError: it does not meet `audit.require`.
        """
        audit, places = self.config.audit, self.session.places
        if audit is None:
            return NOT_MEASURED
        proof = prove(Auditor(self.session, audit), profiles, generator)
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

    def _protect(self, owner: Session, profiles: Sequence[ShardProfile], generator: GeneratorRecord) -> Protected:
        readable = {profile.name for profile in profiles if profile.samples}
        protected = protect_all(owner, [ref for ref in owner.places.shards if ref.name in readable], generator)
        self.failures = sorted(self.failures + protected.failures, key=lambda failure: failure.name)
        return protected

    def _kept(self, protected: Protected) -> list[ShardRecord]:
        """The last good records of shards that failed: what an earlier run has checked and published stays listed."""
        failed = {shard_stem(failure.name) for failure in self.failures}
        names = {ref.output_name for ref in self.session.places.shards if shard_stem(ref.name) in failed}
        return self.session.ledger.last_good(names, self.config.protection.bound, protected.found)

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
        self.session.work.write(LEFT_OUT, left_out.model_dump_json(indent=1).encode())
        return quarantined
