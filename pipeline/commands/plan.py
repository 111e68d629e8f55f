"""`mtlue plan`: what it prints."""

from __future__ import annotations

from pipeline.driver.plan import Plan
from stages.report.wording import duration, size_text


def plan_lines(plan: Plan, workers: int) -> list[str]:
    """What `mtlue plan` prints."""
    hours = plan.protect_core_seconds / 3600
    lines = [
        f"input       {plan.shards} shards, {size_text(plan.input_bytes)}, about {plan.samples} samples",
        f"to do       {plan.shards - plan.shards_done} shards ({plan.shards_done} are published)",
        f"output      about {size_text(plan.output_bytes)} ({plan.growth:.1f} times the input: lossless images)",
    ]
    if plan.train_seconds:
        lines.append(f"train       about {duration(plan.train_seconds)} on this machine")
    else:
        lines.append("train       nothing: the generator is there")
    lines.append(
        f"protect     about {hours:.2f} core hours, {duration(plan.protect_core_seconds / workers)} on {workers} cores"
    )
    return lines
