"""From the audit's figures to one word and one sentence: does the protection work?

Judged are the tasks that were to be protected, by balanced accuracy (mean recall over classes, whose chance line is
1/C whatever the class sizes), at the epoch that is best for the attacker, who can stop early; of several victims on
one kind of data the strongest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.config import Config
from schemas.records import AuditRecord, VictimResult
from stages.report.wording import percent

MARGIN = 0.15
"""A victim at most this far above chance, in accuracy 0..1, has learned next to nothing."""

DATA = ("clean", "noise", "protected")
"""Versions of the training data, in the order of every table."""

Word = Literal["protected", "weakened", "not protected", "inconclusive", "not measured"]


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of the strongest victim on one version of the data, in 0..1."""

    last: float
    best: float


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """The audit of one task; `accuracy` and `balanced` map a version of the data to its score."""

    name: str
    wanted: bool
    """Whether the task was to be protected."""
    chance: float
    majority: float
    accuracy: dict[str, Score]
    balanced: dict[str, Score]
    word: Word


@dataclass(frozen=True, slots=True)
class Verdict:
    """The audit in words; tasks to be protected come first, the least protected first of all."""

    word: Word
    sentence: str
    details: tuple[str, ...]
    chance: float
    means: dict[str, Score]
    """Version of the data → mean balanced accuracy over the tasks that were to be protected."""
    tasks: tuple[TaskVerdict, ...]


def judge(*, protected: float, clean: float, chance: float) -> Word:
    """Judge one balanced accuracy on clean test data against chance and against training on clean data, all in 0..1.

    `protected`: at most `MARGIN` above chance, and less than half of the clean advantage left. `weakened`: less than
    half of the clean advantage left. `inconclusive`: the clean victim itself is within `MARGIN` of chance.
    """
    if clean - chance <= MARGIN:
        return "inconclusive" if protected - chance <= MARGIN else "not protected"
    if (protected - chance) * 2 >= clean - chance:
        return "not protected"
    return "protected" if protected - chance <= MARGIN + 1e-9 else "weakened"


def reach_verdict(config: Config, audit: AuditRecord | None) -> Verdict:
    """Sum up an audit; None, or one without clean and protected victims, proves nothing and says so."""
    if audit is None:
        sentence = "No audit was run, so nothing here shows whether the protection works. Run mtlue audit."
        return Verdict("not measured", sentence, (), 0.0, {}, ())
    scored = [data for data in DATA if audit.of(data)]
    wanted = dict(zip((task.name for task in config.tasks), config.protected_tasks, strict=True))
    names = [name for name in wanted if name in audit.chance]
    tasks = sorted((_task_verdict(audit, name, wanted[name], scored) for name in names), key=_least_protected_first)
    judged = [task for task in tasks if task.wanted]
    if "clean" not in scored or "protected" not in scored or not judged:
        sentence = "The audit lacks victims on clean or on protected data and shows nothing. Run mtlue audit again."
        return Verdict("not measured", sentence, (), 0.0, {}, tuple(tasks))
    chance = sum(task.chance for task in judged) / len(judged)
    means = {data: _strongest(audit.of(data), [task.name for task in judged]) for data in scored}
    word = judge(protected=means["protected"].best, clean=means["clean"].best, chance=chance)
    leaking = [task.name for task in judged if task.word in ("weakened", "not protected")]
    sentence = _sentence(word, leaking, means, chance)
    if word == "protected" and leaking:
        word = "weakened"
    return Verdict(word, sentence, _details(audit, judged, means), chance, means, tuple(tasks))


def _task_verdict(audit: AuditRecord, name: str, wanted: bool, scored: Sequence[str]) -> TaskVerdict:
    balanced = {data: _strongest(audit.of(data), [name]) for data in scored}
    accuracy = {data: _strongest(audit.of(data), [name], metric="accuracy") for data in scored}
    word: Word = "not measured"
    if "clean" in balanced and "protected" in balanced:
        word = judge(protected=balanced["protected"].best, clean=balanced["clean"].best, chance=audit.chance[name])
    return TaskVerdict(name, wanted, audit.chance[name], audit.majority.get(name, 0.0), accuracy, balanced, word)


def _least_protected_first(task: TaskVerdict) -> tuple[bool, float, str]:
    reached = task.balanced["protected"].best if "protected" in task.balanced else 0.0
    return not task.wanted, task.chance - reached, task.name


def _strongest(victims: Sequence[VictimResult], names: Sequence[str], metric: str = "balanced") -> Score:
    """The highest mean over tasks that any of the victims has at its last and at its best epoch."""
    last, best = 0.0, 0.0
    for victim in victims:
        epochs = victim.accuracy if metric == "accuracy" else victim.balanced
        means = [sum(epoch[name] for name in names) / len(names) for epoch in epochs]
        last, best = max(last, means[-1]), max(best, *means, 0.0)
    return Score(last, best)


def _sentence(word: Word, leaking: Sequence[str], means: dict[str, Score], chance: float) -> str:
    reached, clean = percent(means["protected"].best), percent(means["clean"].best)
    if word == "inconclusive":
        return (
            f"This audit cannot tell: even victims trained on the clean images reach only {clean} mean accuracy on "
            f"clean test data, and chance is {percent(chance)}. Raise audit.epochs or audit on more samples."
        )
    figures = (
        f"reach {reached} mean accuracy on clean test data; "
        f"chance is {percent(chance)}, clean training reaches {clean}."
    )
    if word == "not protected":
        return f"These images are not protected: victims trained on them {figures}"
    if word == "weakened":
        return f"The protection hinders training but does not stop it: victims trained on these images {figures}"
    if leaking:
        return (
            f"Protected on average, but not in every task ({', '.join(leaking)}): "
            f"victims trained on the protected images {figures}"
        )
    return f"Victims trained on the protected images {figures}"


def _details(audit: AuditRecord, judged: Sequence[TaskVerdict], means: dict[str, Score]) -> tuple[str, ...]:
    worst = judged[0]
    details = [
        "Accuracies in this verdict are balanced over classes and taken at the best epoch: an attacker can stop early. "
        f"At the last epoch the mean on protected data is {percent(means['protected'].last)}."
    ]
    if len(judged) > 1:
        reached = percent(worst.balanced["protected"].best)
        details.append(f"Weakest task: {worst.name}, {reached} with chance at {percent(worst.chance)}.")
    if "noise" in means:
        left = percent(means["noise"].best)
        details.append(f"For comparison, random noise of the same strength leaves {left}.")
    seeds = len({victim.seed for victim in audit.of("protected")})
    if seeds == 1:
        details.append("Each figure comes from one training run; repeat with other seeds before relying on small gaps.")
    return tuple(details)
