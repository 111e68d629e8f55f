"""From the audit's figures to one word and one sentence: does the protection work?

The verdict judges the protected tasks, by the first metric of their kind. For classes that is mean recall, whose chance
line is 1/C whatever the class sizes. The epoch that is best for the attacker counts, since an attacker can stop early.
Of several victims on one version of the data the strongest counts (`stages/audit/curves.py`). Accuracies and errors are
judged alike: by their direction and their distance from chance (`Metric.advantage`). A victim that fails on clean
images as well is no evidence for a protection (`stages/audit/judging.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.evidence import VERSIONS, Evidence, Judge, SetEvidence, TaskEvidence, VictimResult, Word
from schemas.metrics import BALANCED_ACCURACY, Metric
from schemas.tasks import Task
from schemas.training import Requirement
from stages.audit.curves import Measure, strongest
from stages.audit.judging import attacks_of, cells_of, counts, judges_of
from stages.audit.sentences import details_of, sentence_of
from stages.formatting import figure, percent
from stages.tasks.counts import grouped
from stages.tasks.kinds import kinds_of

MARGIN = 0.15
"""A victim at most this far beyond chance has learned next to nothing: a share in 0..1 (`Metric.advantage`)."""

NOT_MEASURED = Evidence(
    word="not measured",
    sentence="No audit was run, so nothing here shows whether the protection works. Set `audit` in the configuration.",
)
"""The evidence of a run without an audit."""


def judge(*, protected: float, clean: float, chance: float, metric: Metric = BALANCED_ACCURACY) -> Word:
    """Judge one figure on clean test data against chance and against training on clean data.

    `protected`: at most `MARGIN` beyond chance, and less than half of the clean advantage left. `weakened`: less than
    half of the clean advantage left. `not proven`: the clean victim itself is within `MARGIN` of chance.
    """
    left, whole = metric.advantage(protected, chance), metric.advantage(clean, chance)
    if whole <= MARGIN:
        return "not proven" if left <= MARGIN else "not protected"
    if left * 2 >= whole:
        return "not protected"
    return "protected" if left <= MARGIN + 1e-9 else "weakened"


def reach_verdict(
    tasks: Sequence[Task],
    protected: Sequence[bool],
    victims: Sequence[VictimResult],
    *,
    audited: str = "",
    fingerprint: str = "",
) -> Evidence:
    """Sum up an audit; one without clean and protected victims proves nothing and says so.

    Args:
        tasks: K tasks.
        protected: per task, whether it was to be protected.
        victims: on every version of the data.
        audited: what the victims were trained on, in words.
        fingerprint: of all that was audited.
    """
    versions = [data for data in VERSIONS if any(victim.data == data for victim in victims)]
    if not victims:
        return NOT_MEASURED
    everyone, victims = victims, [victim for victim in victims if counts(victim)]
    chance = {name: line for victim in victims for name, line in victim.chance.items()}
    found = [_measured(task, wanted, victims, chance[task.name]) for task, wanted in zip(tasks, protected, strict=True)]
    both = "clean" in versions and "protected" in versions
    judges = judges_of(victims, [task for task in found if task.wanted]) if both else []
    if both:
        found = [task.model_copy(update={"word": _word(task, judges)}) for task in found]
    found.sort(key=_least_protected_first)
    judged = [task for task in found if task.wanted]
    measured = Evidence(
        fingerprint=fingerprint,
        audited=audited,
        test_samples=victims[0].test_samples,
        victims=list(everyone),
        tasks=found,
        sets=_sets(tasks, found, victims, versions),
        judges=judges,
        word="not measured",
        sentence="The audit lacks victims on clean or on protected data and shows nothing. Run mtlue audit again.",
    )
    if not both or not judged:
        return measured
    measures, line = _measures(judged)
    metric = measures[0].judged_by
    means = {data: strongest(victims, data, measures) for data in versions}
    attacks = attacks_of(everyone, measures)
    cells = cells_of([victim for victim in victims if victim.countermeasure == "none"], measures)
    overall = judge(protected=means["protected"].best, clean=means["clean"].best, chance=line, metric=metric)
    if not any(judge.judges for judge in judges):
        overall = _without_judges(overall)
    leaking = [task.name for task in judged if task.word in ("weakened", "not protected")]
    summed = measured.model_copy(
        update={
            "word": "weakened" if overall == "protected" and leaking else overall,
            "metric": metric,
            "chance": line,
            "means": means,
            "cells": cells,
            "attacks": attacks,
        }
    )
    return summed.model_copy(
        update={"sentence": sentence_of(summed, overall, leaking), "details": details_of(summed, judged)}
    )


def _measured(task: Task, wanted: bool, victims: Sequence[VictimResult], chance: dict[str, float]) -> TaskEvidence:
    """The strongest victim's figures in one task on each version of the data; not judged yet."""
    (kind,) = kinds_of([task])
    versions = [data for data in VERSIONS if any(victim.data == data for victim in victims)]
    return TaskEvidence(
        name=task.name,
        wanted=wanted,
        metric=kind.metrics[0].name,
        metrics={metric.name: metric for metric in kind.metrics},
        chance=chance,
        scores={
            metric.name: {data: strongest(victims, data, [Measure(task.name, metric)]) for data in versions}
            for metric in kind.metrics
        },
        word="not measured",
    )


def _word(task: TaskEvidence, judges: Sequence[Judge]) -> Word:
    """The word about one task; without a victim that judges it nothing is proven."""
    word = judge(
        protected=task.judged("protected").best,
        clean=task.judged("clean").best,
        chance=task.chance[task.metric],
        metric=task.judged_by,
    )
    return word if not task.wanted or any(task.name in each.judges for each in judges) else _without_judges(word)


def _without_judges(word: Word) -> Word:
    """What remains of a word when no victim judges: what was learned is learned, all else is not proven."""
    return word if word in ("not protected", "not measured") else "not proven"


def _sets(
    tasks: Sequence[Task], found: Sequence[TaskEvidence], victims: Sequence[VictimResult], versions: Sequence[str]
) -> list[SetEvidence]:
    """The means over the findings of each set, epoch by epoch, so that one victim at one moment has them all."""
    by_name, sets = {task.name: task for task in found}, []
    for name, members in grouped(tasks).items():
        if len(members) == 1:
            continue
        metrics = {metric.name: metric for metric in members[0].metrics}
        measures = {key: [Measure(task.name, metric) for task in members] for key, metric in metrics.items()}
        sets.append(
            SetEvidence(
                name=name,
                tasks=[task.name for task in members],
                metrics=metrics,
                chance={key: sum(by_name[task.name].chance[key] for task in members) / len(members) for key in metrics},
                scores={key: {data: strongest(victims, data, at) for data in versions} for key, at in measures.items()},
            )
        )
    return sets


def _measures(judged: Sequence[TaskEvidence]) -> tuple[list[Measure], float]:
    """What the mean over tasks is taken of, and its chance line: one metric that all share, else advantages."""
    first = judged[0].judged_by
    if all(task.judged_by == first for task in judged) and (first.is_share or len(judged) == 1):
        line = sum(task.chance[task.metric] for task in judged) / len(judged)
        return [Measure(task.name, first) for task in judged], line
    return [Measure(task.name, task.judged_by, task.chance[task.metric]) for task in judged], 0.0


def held_against(evidence: Evidence, requirement: Requirement | None) -> Evidence:
    """The evidence with what was asked of it, and where it falls short."""
    shortfalls = list(_shortfalls(evidence, requirement)) if requirement is not None else []
    return evidence.model_copy(update={"requirement": requirement, "shortfalls": shortfalls})


def _shortfalls(evidence: Evidence, requirement: Requirement) -> Iterator[str]:
    judged = [task for task in evidence.tasks if task.wanted]
    if evidence.word == "not measured" or not judged:
        yield f"audit.require: there is no evidence; {evidence.sentence}"
        return
    wanted = requirement.countermeasures
    left_out = [line for line in evidence.left_out if wanted == "all" or line.split(" by ")[0] in wanted]
    if left_out:
        yield f"audit.require: {len(left_out)} victims were left out, {left_out[0]} first; give the audit more time"
    tried = {victim.countermeasure for victim in evidence.victims if victim.data == "protected"}
    missing = [] if wanted == "all" else [each for each in wanted if each not in tried and each != "none"]
    if missing:
        yield (
            f"audit.require: {', '.join(missing)} was not tried; add it to audit.countermeasures, or leave it out of "
            "require where every task has a label per pixel and it does nothing"
        )
    allowed = {each.countermeasure for each in evidence.victims if counts(each)} if wanted == "all" else {*wanted}
    counted = [victim for victim in evidence.victims if victim.countermeasure in allowed | {"none"}]
    judges = [each for each in evidence.judges if each.countermeasure in allowed | {"none"}]
    mute = [each for each in judges if not each.judges and each.countermeasure in {*wanted} - {"none"}]
    if wanted != "all" and mute:
        yield (
            f"audit.require: {mute[0].countermeasure} {mute[0].note}; raise audit.epochs or "
            "audit.max_samples, or leave it out of require"
        )
    for task in judged:
        yield from _falls_short(task, requirement, counted, judges)


def _falls_short(
    task: TaskEvidence, requirement: Requirement, victims: Sequence[VictimResult], judges: Sequence[Judge]
) -> Iterator[str]:
    name = requirement.metric if requirement.metric in task.scores else task.metric
    metric, limit, scores, line = (
        task.metric_of(name),
        requirement.max_over_chance,
        task.scores[name],
        task.chance[name],
    )
    measure, best = Measure(task.name, metric), requirement.epoch == "best"
    protected = strongest(victims, "protected", [measure])
    reached = protected.best if best else protected.last
    left, whole = metric.advantage(reached, line), metric.advantage(scores["clean"].best, line)
    where = f"task {task.name!r}: {name} at the {requirement.epoch} epoch"
    if left > limit + 1e-9:
        yield (
            f"{where} is {figure(metric, reached, 1)} for a victim that was trained on protected images"
            f"{_by_which(victims, measure, reached, best=best)}, with chance at {figure(metric, line, 1)}; "
            f"audit.require allows {figure(metric, metric.at(limit, line), 1)}"
        )
    elif whole <= limit:
        yield (
            f"{where}: even a victim that was trained on clean images reaches only "
            f"{figure(metric, scores['clean'].best, 1)} with chance at {figure(metric, line, 1)}, so nothing is "
            "proven; raise audit.epochs or audit.max_samples"
        )
    elif not any(task.name in each.judges for each in judges):
        yield (
            f"{where}: no victim that was trained on protected images learns half of what the best clean victim learns "
            "from clean images, so nothing is proven; raise audit.epochs or audit.max_samples"
        )
    if requirement.max_share_left is not None and whole > limit and left > requirement.max_share_left * whole + 1e-9:
        yield (
            f"{where}: a victim that was trained on protected images keeps {percent(left / whole, 1)} of what clean "
            f"training gains over chance; audit.require.max_share_left allows {percent(requirement.max_share_left, 1)}"
        )


def _by_which(victims: Sequence[VictimResult], measure: Measure, reached: float, *, best: bool) -> str:
    """The countermeasure of the victim that reached so much, in words; empty for a plain one."""
    for victim in victims:
        if victim.data == "protected" and victim.countermeasure != "none" and victim.only in (None, measure.task):
            score = strongest([victim], "protected", [measure])
            if (score.best if best else score.last) == reached:
                return f" with {victim.countermeasure}"
    return ""


def _least_protected_first(task: TaskEvidence) -> tuple[bool, float, str]:
    return not task.wanted, -task.advantage("protected"), task.name
