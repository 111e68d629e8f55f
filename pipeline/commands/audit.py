"""`mtlue audit`: judge what already lies in a bucket, and say what the evidence is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import Address, AsJson, Overrides, checked_config, print_result

if TYPE_CHECKING:
    from schemas.evidence import Evidence, Score


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
    lines += [
        f"  {attack.name:<17}{attack.means['protected'].best:>7.1%} at the best epoch"
        + (f"; on clean data {attack.means['clean'].best:.1%}" if "clean" in attack.means else "")
        for attack in evidence.attacks
        if attack.name != "none"
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
