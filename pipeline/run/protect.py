"""Protect over all shards, only what is not published yet under this plan; and what a worker does with one shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.cluster.jobs import Job
from pipeline.run.session import Session
from pipeline.run.tables import device, return_memory
from pipeline.state.ledger import identity_of
from pipeline.state.written import begin_shards, end_shards, refuse_strangers
from schemas.errors import GeneratorError, InputError, LeaseError, MtlueError, RefusedInputError
from schemas.plans import ProtectPlan
from schemas.records import GeneratorRecord, ShardFailure, ShardRecord, ShardRef
from stages.io.store.objects import Entry
from stages.io.store.store import Store
from stages.perturbers.checkpoint import cached_perturber
from stages.protect.protect import protect_shard
from stages.publish.manifest import MANIFEST
from stages.publish.public_files import begin_update


@dataclass(frozen=True)
class Protected:
    """What protecting all shards came to."""

    records: list[ShardRecord]
    """Of every shard that is published as this plan wants it, sorted by name."""
    before: int
    """How many of them an earlier run had published."""
    failures: list[ShardFailure]
    found: list[Entry]
    """What lay in `output` before."""


def protect_all(session: Session, shards: Sequence[ShardRef], generator: GeneratorRecord) -> Protected:
    """Protect every shard that is not published under this plan yet.

    Raises:
        ConfigError: something came into `output` that this `work` did not write.
        RefusedInputError, GeneratorError, LeaseError: no shard can be protected; the others are not waited for.
        InputError: none was protected.
    """
    places, ledger, plan = session.places, session.ledger, session.plans.protect(generator.content)
    found = places.output.list()
    refuse_strangers(places, ledger, found)
    records = ledger.done(list(shards), plan, found)
    before, finished = len(records), {record.identity for record in records}
    todo = [ref for ref in shards if identity_of(ref, plan) not in finished]
    stale = ledger.of_shards({ref.output_name for ref in todo})
    begin_shards(places.work, stale)
    public = {entry.name for entry in found}
    replaced = sum(ref.output_name in public for ref in todo)
    if replaced and MANIFEST in public:
        begin_update(places.output, replaced)
    failures: list[ShardFailure] = []

    def job(ref: ShardRef) -> Job[ShardRecord]:
        identity, former = identity_of(ref, plan), stale[ref.output_name]
        work = partial(protect_step, places.source, ref, places.output, places.work, plan, generator, identity, former)
        return Job(ref.name, work)

    def done(name: str, record: ShardRecord) -> None:
        ledger.add(record, stale[record.name])
        records.append(record)
        session.reporter.events.tell(
            "published", "protect", name=record.name, number=len(records) - before, figures=_figures(record)
        )
        session.tell_quarantined("protect", name, record.quarantined)

    def failed(name: str, error: MtlueError) -> None:
        if isinstance(error, RefusedInputError | GeneratorError | LeaseError):
            raise error
        session.leave_out(failures, "protect", name, error)

    session.each("protect", map(job, todo), done, failed, count=len(todo), gpu=True)
    end_shards(places.work, {record.name for record in records})
    failures.sort(key=lambda failure: failure.name)  # they came as the workers were ready
    if not records:
        raise InputError(f"no shard could be protected; the first: {failures[0].message}")
    return Protected(sorted(records, key=lambda record: record.name), before, failures, found)


def _figures(record: ShardRecord) -> dict[str, float]:
    """What listeners hear of a published shard."""
    return {
        "samples": record.samples,
        "bytes": record.bytes,
        "max_delta": record.max_delta,
        "psnr_mean_db": round(record.psnr.mean, 3),
        "psnr_min_db": round(record.psnr.minimum, 3),
        "seconds": round(record.seconds, 3),
    }


def protect_step(
    source: Store,
    ref: ShardRef,
    output: Store,
    work: Store,
    plan: ProtectPlan,
    record: GeneratorRecord,
    identity: str,
    stale: Sequence[str] = (),
) -> ShardRecord:
    """Protect one shard and put it into `output`.

    Args:
        stale: the ledger's records of what is replaced, in `work`. One that outlived its bytes would be believed again
            as soon as the configuration went back to it. One that went before them would not show what is public.
    """
    return_memory()

    def forget() -> None:
        for name in stale:
            work.delete(name)

    return protect_shard(source, ref, output, plan, cached_perturber(work, record, device()), identity, forget)
