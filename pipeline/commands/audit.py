"""`mtlue audit`: judge what already lies in a bucket, and say what the evidence is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import Address, AsJson, Dashboard, Overrides, checked_config, print_result
from pipeline.configuration import addresses
from schemas.errors import ConfigError
from stages.formatting import figure

if TYPE_CHECKING:
    from schemas.evidence import AttackEvidence, Evidence, Leak, Score, SetEvidence, TaskEvidence
    from schemas.metrics import Metric


def audit(
    url: Annotated[str | None, typer.Argument(help="Published prefix; `output` when left out.")] = None,
    config: Annotated[Path | None, typer.Option(help="Its configuration; pipeline.yaml when left out.")] = None,
    overrides: Overrides = None,
    address: Address = None,
    budget: Annotated[str | None, typer.Option(help="Time for the victims, such as 20m; a later one goes on.")] = None,
    dashboard: Dashboard = False,
    as_json: AsJson = False,
) -> None:
    """Train victims on what is published; exit code 1 when `audit.require` is not met."""
    seconds = seconds_of(budget)
    url = None if url is None else addresses.address(url, "URL")
    checked = checked_config(config, overrides, address, dashboard=dashboard)

    from pipeline.cluster.progress import Reporter
    from pipeline.run.audit_published import audit_published

    evidence, report = audit_published(checked, Reporter("json" if as_json else "auto"), url, seconds)
    lines = [*evidence_lines(evidence), f"report      {report}"]
    print_result(lines, {**evidence_figures(evidence), "report": report}, as_json=as_json)
    raise typer.Exit(0 if evidence.passed else 1)


def seconds_of(budget: str | None) -> float | None:
    """A time such as `90s`, `20m` or `1.5h` in seconds; None stays.

    Raises:
        ConfigError: it is none.
    """
    if budget is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", budget.strip())
    if found is None or not float(found[1]):
        raise ConfigError(f"--budget {budget!r}: write a time with its unit, such as 90s, 20m or 1.5h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def evidence_figures(evidence: Evidence) -> dict[str, Any]:
    """An audit as plain JSON values, without the curves."""
    metric_of = {task.name: task.judged_by for task in evidence.tasks}
    return {
        "audited": evidence.audited,
        "word": evidence.word,
        "sentence": evidence.sentence,
        "test_samples": evidence.test_samples,
        "split": evidence.split,
        "metric": evidence.metric.name,
        "chance": round(evidence.chance, 4),
        "means": {data: _rounded(evidence.metric, score) for data, score in evidence.means.items()},
        "tasks": [
            {
                "name": task.name,
                "wanted": task.wanted,
                "word": task.word,
                "metric": task.metric,
                "share_left": _share_left(task),
                "chance": {metric: round(value, 4) for metric, value in task.chance.items()},
                "scores": {
                    metric: {data: _rounded(task.metric_of(metric), score) for data, score in scores.items()}
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
                    metric: {data: _rounded(found.metrics[metric], score) for data, score in scores.items()}
                    for metric, scores in found.scores.items()
                },
            }
            for found in evidence.sets
        ],
        "attacks": [
            {
                "name": attack.name,
                "counts": attack.counts,
                "means": {data: _rounded(evidence.metric, score) for data, score in attack.means.items()},
                "tasks": {task: _rounded(metric_of[task], score) for task, score in attack.tasks.items()},
            }
            for attack in evidence.attacks
        ],
        "cells": [cell.model_dump(mode="json") for cell in evidence.cells],
        "judges": [judge.model_dump(mode="json") for judge in evidence.judges],
        "leaks": [
            leak.model_dump(mode="json", exclude={"metric"}) | {"metric": leak.metric.name} for leak in evidence.leaks
        ],
        "victims": sorted({victim.backbone for victim in evidence.victims}),
        "left_out": evidence.left_out,
        "requirement": evidence.requirement.model_dump() if evidence.requirement else None,
        "shortfalls": evidence.shortfalls,
    }


def _rounded(metric: Metric, score: Score) -> dict[str, Any]:
    """Last and best epoch, and the 95 % interval of each where it is known."""
    shown: dict[str, Any] = {"last": round(score.last, 4), "best": round(score.best, 4)}
    ends = {
        "last": metric.interval(score.last, score.last_error),
        "best": metric.interval(score.best, score.best_error),
    }
    return shown | {f"{which}_interval": [round(end, 4) for end in found] for which, found in ends.items() if found}


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
    everyone = {victim.backbone for victim in evidence.victims}
    victims = ", ".join(sorted({judge.backbone for judge in evidence.judges if judge.judges} or everyone))
    metric = evidence.metric
    lines = [
        f"victims     {victims}: mean {metric.words} on {evidence.test_samples} held-out clean images"
        f"{' (a fifth of the dataset, by key hash)' if evidence.split else ''} "
        f"(chance {_shown(metric, evidence.chance)})"
    ]
    lines += [
        f"  trained on {data:<10}{_shown(metric, score.last):>7} at the last epoch, "
        f"{_shown(metric, score.best)} at the best"
        for data, score in evidence.means.items()
    ]
    lines += [f"  {note}".replace("\u00a0", " ") for note in evidence.notes]
    lines += [_attack_line(evidence, attack) for attack in evidence.attacks if attack.name != "none"]
    lines += [_set_line(found) for found in evidence.sets]
    lines += [_leak_line(leak) for leak in evidence.leaks]
    if evidence.left_out:
        lines.append(f"left out    {len(evidence.left_out)} victims, for want of time: {'; '.join(evidence.left_out)}")
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


def _leak_line(leak: Leak) -> str:
    """What the protection gives away."""
    about = f" ({leak.task})" if leak.task else ""
    reached, chance = _shown(leak.metric, leak.reached), _shown(leak.metric, leak.chance)
    clean = "" if leak.clean is None else f"; on clean data {_shown(leak.metric, leak.clean)}"
    clean += "" if leak.noise is None else f"; with noise instead {_shown(leak.metric, leak.noise)}"
    return f"  leak {leak.name}{about}: {reached} with chance at {chance}{clean}"


def _attack_line(evidence: Evidence, attack: AttackEvidence) -> str:
    """What a countermeasure reaches, what it does to clean training, and whether it judges anything."""
    means, metric = attack.means, evidence.metric
    reached = f"{_shown(metric, means['protected'].best):>7} at the best epoch" if "protected" in means else "not tried"
    control = f"; on clean data {_shown(metric, means['clean'].best)}" if "clean" in means else ""
    note = evidence.attack_note(attack.name).replace("\u00a0", " ")
    notes = ["" if attack.counts else "needs a leak, not counted", note]
    return f"  {attack.name:<17}{reached}{control}{''.join(f'; {each}' for each in notes if each)}"
