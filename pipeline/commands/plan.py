"""`mtlue plan`: say what a run would do, how long it takes and how many bytes it writes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.commands.options import AsJson, ConfigPath, Overrides, checked_config, print_result
from stages.formatting import duration, size_text

if TYPE_CHECKING:
    from pipeline.run.estimate import RunEstimate


def plan(config: ConfigPath = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what a run would do, its time and bytes, from a measured sample. Writes nothing."""
    checked = checked_config(config, overrides)

    from pipeline.run.estimate import make_plan

    made = make_plan(checked)
    print_result(plan_lines(made), asdict(made), as_json=as_json)


def plan_lines(plan: RunEstimate) -> list[str]:
    """What `mtlue plan` prints."""
    hours, wall = plan.protect_core_seconds / 3600, duration(plan.protect_core_seconds / plan.workers)
    lines = [
        f"input       {plan.shards} shards, {size_text(plan.input_bytes)}, about {plan.samples} samples",
        *(f"labels      {line} (first shard)" for line in plan.labels),
        f"to do       {plan.shards - plan.shards_done} shards ({plan.shards_done} are published)",
        f"output      about {size_text(plan.output_bytes)} ({plan.growth:.1f} times the input: lossless images)",
    ]
    lines += [f"ingest      about {duration(plan.ingest_seconds)}", f"train       {_training(plan)}"]
    lines += [f"            {sentence}" for sentence in plan.choice]
    lines += [
        f"prove       {_proof(plan)}",
        f"protect     about {hours:.2f} core hours, {wall} on {plan.workers} cores",
        f"publish     about {duration(plan.publish_seconds)}",
        f"all         about {duration(plan.seconds)} on this machine, if nothing else runs on it",
    ]
    lines += [f"not read    {sentence}" for sentence in plan.passed_by]
    lines += [f"check       first shard: {warning}" for warning in plan.warnings]
    return lines


def _training(plan: RunEstimate) -> str:
    if plan.train_seconds is None:
        return "nothing: the generator is there"
    return f"about {duration(plan.train_seconds)} on this machine"


def _proof(plan: RunEstimate) -> str:
    if not plan.audited:
        return "nothing: the configuration has no audit"
    if plan.prove_seconds is None:
        return "nothing: the evidence is there"
    return f"about {duration(plan.prove_seconds)} ({plan.victims} victims)"
