"""`mtlue run`: do all that is not done yet, and say at the end what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.audit import evidence_figures, evidence_lines
from pipeline.commands.options import Address, AsJson, ConfigPath, Dashboard, Overrides, checked_config, print_result
from pipeline.commands.plan import plan
from pipeline.state.last_run import remember
from stages.formatting import duration, size_text

if TYPE_CHECKING:
    from pipeline.run.result import RunResult


def run(
    config: ConfigPath = None,
    overrides: Overrides = None,
    address: Address = None,
    retrain: Annotated[bool, typer.Option(help="Train another generator and protect every shard again.")] = False,
    take_over: Annotated[
        bool, typer.Option(help="Take over an output from another `work`, which is refused there from then on.")
    ] = False,
    prune: Annotated[bool, typer.Option(help="Remove published shards that have no input any more.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, as `mtlue plan`.")] = False,
    dashboard: Dashboard = False,
    as_json: AsJson = False,
) -> None:
    """Do everything that is not done yet: ingest, train, prove, protect, publish. Resumes; incremental."""
    if dry_run:
        plan(config, overrides, as_json)
        return
    checked = checked_config(
        config, overrides, address, dashboard=dashboard
    )  # first: a mistake in it is reported at once
    remember(config, overrides)

    from pipeline.cluster.progress import Reporter
    from pipeline.run.result import exit_code
    from pipeline.run.run import run as run_config

    result = run_config(
        checked, Reporter("json" if as_json else "auto"), retrain=retrain, take_over=take_over, prune=prune
    )
    print_result(run_lines(result), run_figures(result), as_json=as_json)
    raise typer.Exit(exit_code(result))


def run_figures(result: RunResult) -> dict[str, Any]:
    """The figures of a run as plain JSON values."""
    from schemas.stats import Moments

    psnr = Moments()
    for record in result.records:
        psnr = psnr.merge(record.psnr)
    figures: dict[str, Any] = {
        "shards": len(result.records),
        "shards_done_before": result.done_before,
        "shards_failed": len(result.failures),
        "shards_kept": result.kept,
        "shards_empty": result.empty,
        "shards_withdrawn": result.withdrawn,
        "shards_pruned": result.pruned,
        "passed_by": result.passed_by,
        "samples": result.manifest.samples,
        "quarantined": len(result.quarantined),
        "bytes": result.manifest.bytes,
        "max_delta": max((record.max_delta for record in result.records), default=0),
        "psnr_mean_db": round(psnr.mean, 2),
        "psnr_min_db": round(psnr.minimum, 2),
        "seconds": {step: round(value, 1) for step, value in result.seconds.items()},
        "report": result.report,
        "failures": [failure.model_dump() for failure in result.failures],
    }
    if result.evidence.victims:
        figures["evidence"] = evidence_figures(result.evidence)
    return figures


def run_lines(result: RunResult) -> list[str]:
    """What `mtlue run` prints last."""
    figures = run_figures(result)
    lines = []
    if figures["quarantined"]:
        lines.append(f"left out    {figures['quarantined']} samples, listed in left-out.json in `work`")
    lines += [f"not read    {sentence}" for sentence in result.passed_by]
    lines += [f"failed      {failure.message}" for failure in result.failures]
    lines += [f"kept        {name}: its input failed; an earlier state of it stays published" for name in result.kept]
    if result.empty:
        lines.append(f"empty       {_names(result.empty)}: no sample that can be published")
    if result.withdrawn:
        lines.append(
            f"withdrawn   {_names(result.withdrawn)}: no input any more, in no manifest, but public still; "
            "`mtlue run --prune` removes what was withdrawn"
        )
    if result.pruned:
        lines.append(f"pruned      {_names(result.pruned)}")
    done = f" ({result.done_before} done before)" if result.done_before else ""
    lines += [
        f"shards      {figures['shards']}{done}",
        f"samples     {figures['samples']} in {size_text(figures['bytes'])}",
        f"max |Δ|     {figures['max_delta']} of 255",
        f"PSNR        {figures['psnr_mean_db']:.1f} dB on average, {figures['psnr_min_db']:.1f} dB at least",
    ]
    lines += evidence_lines(result.evidence)
    lines.append(f"time        {', '.join(f'{step} {duration(value)}' for step, value in result.seconds.items())}")
    lines.append(f"report      {result.report}")
    return lines


def _names(shards: list[str]) -> str:
    """How many, and the first by name."""
    first = ", ".join(shards[:5]) + (", …" if len(shards) > 5 else "")
    return f"{len(shards)} shard{'' if len(shards) == 1 else 's'} ({first})"
