"""Prove: before anything is public, a sample of shards is protected into `work`, and victims are trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.cluster.jobs import Job
from pipeline.run.audit import Auditor, find_evidence
from pipeline.run.protect import protect_step
from pipeline.run.session import Session
from schemas.errors import GeneratorError, MtlueError, RefusedInputError, ValidationError
from schemas.evidence import Evidence
from schemas.model import fingerprint
from schemas.plans import ProtectPlan
from schemas.records import GeneratorRecord, ShardProfile, ShardRecord, ShardRef, failure_of
from stages.audit.verdict import held_against
from stages.io.store.store import Store

FOLDER = "proof/"


@dataclass(frozen=True)
class Proof:
    """Evidence about a generator, and where the sample lies that it is about."""

    evidence: Evidence
    place: Store
    shards: list[ShardRef]
    """The sample's raw shards; `place` holds their protected twins, unless an earlier run proved the generator."""


def prove(auditor: Auditor, profiles: Sequence[ShardProfile], generator: GeneratorRecord) -> Proof:
    """Judge a generator by what it makes of a sample of shards, which the protecting step itself writes and reads back.

    A generator that was proven under the same audit is not proven again, also when shards came or went since then.

    Raises:
        ValidationError: a shard of the sample could not be protected or read.
        GeneratorError: δ is unusable.
    """
    session = auditor.session
    places, plan = session.places, session.plans.protect(generator.content)
    counts = {profile.name: profile.samples for profile in profiles if profile.samples}
    sample = auditor.sample([ref for ref in places.shards if ref.name in counts], counts)
    folder = FOLDER + fingerprint([plan.fingerprint, [[ref.name, ref.size, ref.etag] for ref in sample]])
    place = places.inside_work(folder)
    state = auditor.state(plan.fingerprint)
    evidence = find_evidence(session.work, state)
    _forget_other_proofs(places.work, folder)
    if evidence is None:
        _protect(session, sample, place, plan, generator)
        there = {entry.name: entry for entry in place.list()}
        published = [
            ShardRef(name=name, url=place.join(name), size=there[name].size, etag=there[name].etag)
            for name in (ref.output_name for ref in sample)
        ]
        audited = f"{sum(counts[ref.name] for ref in sample):,} samples in {len(sample)} of {len(places.shards)} shards"
        evidence = auditor.examine(sample, place, published, audited=audited, fingerprint=state)
    return Proof(held_against(evidence, auditor.audit.require), place, sample)


def _protect(
    session: Session, sample: Sequence[ShardRef], place: Store, plan: ProtectPlan, generator: GeneratorRecord
) -> None:
    """Write the protected twins that are not there yet into the private place."""
    there = {entry.name for entry in place.list()}
    missing = [ref for ref in sample if ref.output_name not in there]

    def job(ref: ShardRef) -> Job[ShardRecord]:
        source, work = session.places.source, session.work
        return Job(ref.name, partial(protect_step, source, ref, place, work, plan, generator, "proof"))

    def failed(name: str, error: MtlueError) -> None:
        if isinstance(error, RefusedInputError | GeneratorError):
            raise error
        raise ValidationError(f"prove: {failure_of(name, 'prove', error).message}")

    session.each("prove", map(job, missing), lambda name, record: None, failed, count=len(missing), gpu=True)


def _forget_other_proofs(work: Store, folder: str) -> None:
    """Only the present sample is kept: it holds protected images, of shards that may be withdrawn, and takes room."""
    for entry in work.list(FOLDER):
        if not entry.name.startswith(f"{folder}/"):
            work.delete(entry.name)
