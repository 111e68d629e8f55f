"""The step that trains one victim."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.state.weights import fetch_weights, with_fetched_weights
from pipeline.steps.worker import device, fetch_table
from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from stages.audit.victims import train_victim
from stages.io.store.store import Store


def victim_step(
    work: Store,
    train_tables: list[str],
    test_tables: list[str],
    clean_tables: list[str],
    plan: VictimPlan,
    samples: int,
    split: bool = False,
) -> VictimResult:
    """Train one victim on the tables of one version of the data, on `samples` of them at most.

    Args:
        clean_tables: originals that leaked to the attacker, if any.
        split: whether a part of the samples is held out: tested on in `test_tables`, and not learned from.
    """
    learned, tested = (False, True) if split else (None, None)
    with TemporaryDirectory(prefix="mtlue-audit-") as directory:
        if plan.second is not None:
            plan = plan.model_copy(update={"second": with_fetched_weights(work, plan.second, Path(directory))})
        return train_victim(
            fetch_table(work, train_tables, Path(directory, "train"), plan.tasks, samples, held_out=learned),
            fetch_table(work, test_tables, Path(directory, "test"), plan.tasks, samples, held_out=tested),
            plan,
            device(),
            clean=fetch_table(work, clean_tables, Path(directory, "clean"), plan.tasks, samples, held_out=learned)
            if clean_tables
            else None,
            weights=fetch_weights(work, plan.weights, Path(directory)) if plan.weights else None,
        )
