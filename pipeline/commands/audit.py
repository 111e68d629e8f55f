"""`mtlue audit`: judge what already lies in a bucket, and say what the evidence is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import Address, AsJson, Overrides, checked_config, print_result
from stages.report.wording import figure

if TYPE_CHECKING:
    from schemas.evidence import Evidence, Score, SetEvidence, TaskEvidence
    from schemas.metrics import Metric


def audit(
    url: Annotated[str | None, typer.Argument(help="Published prefix; `output` when left out.")] = None,
    config: Annotated[Path | None, typer.Option(help="Its configuration; pipeline.yaml when left out.")] = None,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Train victims on what a prefix really holds; exit code 1 when `audit.require` does not hold."""
    checked = checked_config(config, overrides, address)

    from pipeline.cluster.progress import Reporter
    from pipeline.driver.audit_published import audit_published

    evidence = audit_published(checked, Reporter("json" if as_json else "auto"), url)
    print_result(evidence_lines(evidence), evidence_figures(evidence), as_json=as_json)
    raise typer.Exit(0 if evidence.passed else 1)


def evidence_figures(evidence: Evidence) -> dict[str, Any]:
    """An audit as plain JSON values, without the curves."""
    return {
        "audited": evidence.audited,
        "word": evidence.word,
        "sentence": evidence.sentence,
        "test_samples": evidence.test_samples,
        "metric": evidence.metric.name,
        "chance": round(evidence.chance, 4),
        "means": {data: _rounded(score) for data, score in evidence.means.items()},
        "tasks": [
            {
                "name": task.name,
                "wanted": task.wanted,
                "word": task.word,
                "metric": task.metric,
                "share_left": _share_left(task),
                "chance": {metric: round(value, 4) for metric, value in task.chance.items()},
                "scores": {
                    metric: {data: _rounded(score) for data, score in scores.items()}
                    for metric, scores in task.scores.items()
                },
            }
            for task in evidence.tasks
        ],
        "sets": [
            {
                "name": found.name,
                "tasks": len(found.tasks),
                "chance": {metric: round(value, 4) for metric, value in found.chance.items()},
                "scores": {
                    metric: {data: _rounded(score) for data, score in scores.items()}
                    for metric, scores in found.scores.items()
                },
            }
            for found in evidence.sets
        ],
        "attacks": [
            {
                "name": attack.name,
                "means": {data: _rounded(score) for data, score in attack.means.items()},
                "tasks": {task: _rounded(score) for task, score in attack.tasks.items()},
            }
            for attack in evidence.attacks
        ],
        "victims": sorted({victim.backbone for victim in evidence.victims}),
        "requirement": evidence.requirement.model_dump() if evidence.requirement else None,
        "shortfalls": evidence.shortfalls,
    }


def _rounded(score: Score) -> dict[str, float]:
    return {"last": round(score.last, 4), "best": round(score.best, 4)}


def _share_left(task: TaskEvidence) -> float | None:
    """What is left of the clean advantage over chance; None where clean training has none."""
    whole = task.advantage("clean")
    return round(task.advantage("protected") / whole, 4) if whole > 0 and "protected" in task.judged_scores else None


def _shown(metric: Metric, value: float) -> str:
    """A figure as a terminal shows it: `14.2%`, `3.2 years`."""
    return f"{value:.1%}" if metric.is_share else figure(metric, value).replace("\u00a0", " ")


def _set_line(found: SetEvidence) -> str:
    """The means over a multi-label set of the figure that decides each finding."""
    name, metric = next(iter(found.metrics.items()))
    scores = ", ".join(f"{data} {_shown(metric, score.best)}" for data, score in found.scores[name].items())
    return (
        f"  set {found.name}: {len(found.tasks)} findings, mean {metric.words} at the best epoch: {scores}; chance "
        f"{_shown(metric, found.chance[name])}"
    )


def evidence_lines(evidence: Evidence) -> list[str]:
    """An audit for a person: the same figures that the report shows."""
    if not evidence.victims:
        return []
    victims, metric = ", ".join(sorted({victim.backbone for victim in evidence.victims})), evidence.metric
    lines = [
        f"victims     {victims}: mean {metric.words} on {evidence.test_samples} held-out clean images "
        f"(chance {_shown(metric, evidence.chance)})"
    ]
    lines += [
        f"  trained on {data:<10}{_shown(metric, score.last):>7} at the last epoch, "
        f"{_shown(metric, score.best)} at the best"
        for data, score in evidence.means.items()
    ]
    lines += [
        f"  {attack.name:<17}{_shown(metric, attack.means['protected'].best):>7} at the best epoch"
        + (f"; on clean data {_shown(metric, attack.means['clean'].best)}" if "clean" in attack.means else "")
        for attack in evidence.attacks
        if attack.name != "none"
    ]
    lines += [_set_line(found) for found in evidence.sets]
    open_tasks = [task for task in evidence.tasks if task.wanted and task.word != "protected"]
    lines += [
        f"  task {task.name}: {task.word}, {_shown(task.judged_by, task.judged('protected').best)} with chance at "
        f"{_shown(task.judged_by, task.chance[task.metric])}"
        for task in open_tasks
        if evidence.means
    ]
    lines.append(f"verdict     {evidence.word}: {evidence.sentence}")
    lines += [f"short       {shortfall}" for shortfall in evidence.shortfalls]
    return lines
