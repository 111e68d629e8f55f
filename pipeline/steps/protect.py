"""The step that protects one shard."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.steps.worker import device, return_memory
from schemas.plans import ProtectPlan
from schemas.records import GeneratorRecord, ShardRecord, ShardRef
from stages.io.store.store import Store
from stages.perturbers.checkpoint import cached_perturber
from stages.protect.protect import protect_shard


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
            as soon as the configuration went back to it; one that went before them would not tell what is public.
    """
    return_memory()

    def forget() -> None:
        for name in stale:
            work.delete(name)

    return protect_shard(source, ref, output, plan, cached_perturber(work, record, device()), identity, forget)
