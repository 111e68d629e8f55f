"""The step that protects one shard."""

from __future__ import annotations

from pipeline.steps.worker import device, return_memory
from schemas.plans import ProtectPlan
from schemas.records import GeneratorRecord, ShardRecord, ShardRef
from stages.io.store.store import Store
from stages.perturbers.checkpoint import cached_perturber
from stages.protect.protect import protect_shard


def protect_step(
    source: Store, ref: ShardRef, output: Store, work: Store, plan: ProtectPlan, record: GeneratorRecord, identity: str
) -> ShardRecord:
    """Protect one shard and put it into `output`."""
    return_memory()
    return protect_shard(source, ref, output, plan, cached_perturber(work, record, device()), identity)
