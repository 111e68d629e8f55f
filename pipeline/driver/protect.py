"""Protect over all shards: only what is not published yet under this plan."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cluster.executor import Executor, Job
from pipeline.cluster.progress import Reporter
from pipeline.state.lease import Lease
from pipeline.state.ledger import Ledger, identity_of
from pipeline.state.left_out import failure_of
from pipeline.state.places import Places
from pipeline.steps.protect import protect_step
from schemas.errors import GeneratorError, InputError, LeaseError, RefusedInputError
from schemas.plans import ProtectPlan
from schemas.records import GeneratorRecord, ShardFailure, ShardRecord, ShardRef


def protect_all(
    executor: Executor,
    reporter: Reporter,
    places: Places,
    lease: Lease,
    shards: Sequence[ShardRef],
    plan: ProtectPlan,
    generator: GeneratorRecord,
) -> tuple[list[ShardRecord], int, list[ShardFailure]]:
    """Records of every published shard, sorted by name; how many an earlier run had published; what failed.

    Raises:
        RefusedInputError, GeneratorError, LeaseError: no shard can be protected; the others are not waited for.
        InputError: none was protected.
    """
    ledger = Ledger(places.work)
    done = ledger.done(list(shards), plan, places.output.list())
    before, finished = len(done), {record.identity for record in done}
    identities = {ref.name: identity_of(ref, plan) for ref in shards}
    jobs = [
        Job(ref.name, (places.source, ref, places.output, places.work, plan, generator, identities[ref.name]))
        for ref in shards
        if identities[ref.name] not in finished
    ]
    ledger.forget({ref.output_name for ref in shards} - {record.name for record in done})
    failures: list[ShardFailure] = []
    with reporter.step("protect", len(jobs), "shards") as step:
        for outcome in executor.map(protect_step, jobs, gpu=True):
            lease.check()
            if isinstance(outcome.error, RefusedInputError | GeneratorError | LeaseError):
                raise outcome.error
            if outcome.error is not None:
                failures.append(failure_of(outcome.name, "protect", outcome.error))
                reporter.say(f"protect: {failures[-1].message}")
            elif outcome.result is not None:
                ledger.add(outcome.result)
                done.append(outcome.result)
            step.advance()
    failures.sort(key=lambda failure: failure.name)  # they came as the workers were ready
    if not done:
        raise InputError(f"no shard could be protected; the first: {failures[0].message}")
    return sorted(done, key=lambda record: record.name), before, failures
