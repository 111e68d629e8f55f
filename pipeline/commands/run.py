"""`mtlue run`: what it prints last."""

from __future__ import annotations

from typing import Any

from pipeline.driver.ingest import failure_text
from pipeline.driver.run import RunResult
from schemas.evidence import Evidence, Score
from schemas.stats import Moments
from stages.report.wording import duration, size_text


def run_figures(result: RunResult) -> dict[str, Any]:
    """The figures of a run as plain JSON values."""
    psnr = Moments()
    for record in result.records:
        psnr = psnr.merge(record.psnr)
    figures: dict[str, Any] = {
        "shards": len(result.records),
        "shards_done_before": result.done_before,
        "shards_failed": len(result.failures),
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


def evidence_figures(evidence: Evidence) -> dict[str, Any]:
    """An audit as plain JSON values, without the curves."""
    return {
        "audited": evidence.audited,
        "word": evidence.word,
        "sentence": evidence.sentence,
        "test_samples": evidence.test_samples,
        "chance": round(evidence.chance, 4),
        "means": {data: _rounded(score) for data, score in evidence.means.items()},
        "tasks": [
            {
                "name": task.name,
                "wanted": task.wanted,
                "word": task.word,
                "metric": task.metric,
                "chance": {metric: round(value, 4) for metric, value in task.chance.items()},
                "scores": {
                    metric: {data: _rounded(score) for data, score in scores.items()}
                    for metric, scores in task.scores.items()
                },
            }
            for task in evidence.tasks
        ],
        "victims": sorted({victim.backbone for victim in evidence.victims}),
        "requirement": evidence.requirement.model_dump() if evidence.requirement else None,
        "shortfalls": evidence.shortfalls,
    }


def _rounded(score: Score) -> dict[str, float]:
    return {"last": round(score.last, 4), "best": round(score.best, 4)}


def evidence_lines(evidence: Evidence) -> list[str]:
    """An audit for a person: the same figures that the report shows."""
    if not evidence.victims:
        return []
    victims = ", ".join(sorted({victim.backbone for victim in evidence.victims}))
    lines = [
        f"victims     {victims}: mean balanced accuracy on {evidence.test_samples} held-out clean images "
        f"(chance {evidence.chance:.1%})"
    ]
    lines += [
        f"  trained on {data:<10}{score.last:>7.1%} at the last epoch, {score.best:.1%} at the best"
        for data, score in evidence.means.items()
    ]
    open_tasks = [task for task in evidence.tasks if task.wanted and task.word != "protected"]
    lines += [
        f"  task {task.name}: {task.word}, {task.judged('protected').best:.1%} with chance at "
        f"{task.chance[task.metric]:.1%}"
        for task in open_tasks
        if evidence.means
    ]
    lines.append(f"verdict     {evidence.word}: {evidence.sentence}")
    lines += [f"short       {shortfall}" for shortfall in evidence.shortfalls]
    return lines


def run_lines(result: RunResult) -> list[str]:
    """What `mtlue run` prints last."""
    figures = run_figures(result)
    lines = []
    if figures["quarantined"]:
        lines.append(f"left out    {figures['quarantined']} samples, listed in left-out.json in `work`")
    lines += [f"failed      {failure_text(failure)}" for failure in result.failures]
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
