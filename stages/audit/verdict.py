"""From the audit's figures to one word and one sentence: does the protection work?

Judged are the tasks that were to be protected, by the first metric of their kind (for classes: mean recall, whose
chance line is 1/C whatever the class sizes), at the epoch that is best for the attacker, who can stop early; of several
victims on one version of the data the strongest counts (`stages/audit/curves.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.evidence import VERSIONS, AttackEvidence, Evidence, Score, TaskEvidence, VictimResult, Word
from schemas.tasks import Task
from schemas.training import Requirement
from stages.audit.attacks import attacks_of
from stages.audit.curves import strongest
from stages.report.wording import percent
from stages.tasks.registry import kinds_of

MARGIN = 0.15
"""A victim at most this far above chance, in a figure of 0..1, has learned next to nothing."""

NOT_MEASURED = Evidence(
    word="not measured",
    sentence="No audit was run, so nothing here shows whether the protection works. Set `audit` in the configuration.",
)
"""The evidence of a run without an audit."""


def judge(*, protected: float, clean: float, chance: float) -> Word:
    """Judge one figure on clean test data against chance and against training on clean data, all in 0..1.

    `protected`: at most `MARGIN` above chance, and less than half of the clean advantage left. `weakened`: less than
    half of the clean advantage left. `inconclusive`: the clean victim itself is within `MARGIN` of chance.
    """
    if clean - chance <= MARGIN:
        return "inconclusive" if protected - chance <= MARGIN else "not protected"
    if (protected - chance) * 2 >= clean - chance:
        return "not protected"
    return "protected" if protected - chance <= MARGIN + 1e-9 else "weakened"


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
    chance, found = {name: line for victim in victims for name, line in victim.chance.items()}, []
    for task, kind, wanted in zip(tasks, kinds_of(tasks), protected, strict=True):
        scores = {
            metric: {data: strongest(victims, data, [(task.name, metric)]) for data in versions}
            for metric in kind.metrics
        }
        metric = kind.metrics[0]
        word: Word = "not measured"
        if "clean" in versions and "protected" in versions:
            word = judge(
                protected=scores[metric]["protected"].best,
                clean=scores[metric]["clean"].best,
                chance=chance[task.name][metric],
            )
        found.append(
            TaskEvidence(
                name=task.name, wanted=wanted, metric=metric, chance=chance[task.name], scores=scores, word=word
            )
        )
    found.sort(key=_least_protected_first)
    judged = [task for task in found if task.wanted]
    measured = Evidence(
        fingerprint=fingerprint,
        audited=audited,
        test_samples=victims[0].test_samples,
        victims=list(victims),
        tasks=found,
        word="not measured",
        sentence="The audit lacks victims on clean or on protected data and shows nothing. Run mtlue audit again.",
    )
    if "clean" not in versions or "protected" not in versions or not judged:
        return measured
    line = sum(task.chance[task.metric] for task in judged) / len(judged)
    means = {data: strongest(victims, data, [(task.name, task.metric) for task in judged]) for data in versions}
    attacks = attacks_of(victims, [(task.name, task.metric) for task in judged])
    overall = judge(protected=means["protected"].best, clean=means["clean"].best, chance=line)
    leaking = [task.name for task in judged if task.word in ("weakened", "not protected")]
    return measured.model_copy(
        update={
            "word": "weakened" if overall == "protected" and leaking else overall,
            "sentence": _sentence(overall, leaking, means, line),
            "details": _details(victims, judged, means, attacks),
            "chance": line,
            "means": means,
            "attacks": attacks,
        }
    )


def held_against(evidence: Evidence, requirement: Requirement | None) -> Evidence:
    """The evidence with what was asked of it, and where it falls short."""
    shortfalls = list(_shortfalls(evidence, requirement)) if requirement is not None else []
    return evidence.model_copy(update={"requirement": requirement, "shortfalls": shortfalls})


def _shortfalls(evidence: Evidence, requirement: Requirement) -> Iterator[str]:
    judged = [task for task in evidence.tasks if task.wanted]
    if evidence.word == "not measured" or not judged:
        yield f"audit.require: there is no evidence; {evidence.sentence}"
        return
    name, limit = requirement.metric, requirement.max_over_chance
    for task in judged:
        if name not in task.scores:
            yield f"task {task.name!r} has no metric {name}; it has {', '.join(task.scores)}"
            continue
        line, scores = task.chance[name], task.scores[name]
        reached = scores["protected"].best if requirement.epoch == "best" else scores["protected"].last
        where = f"task {task.name!r}: {name} at the {requirement.epoch} epoch"
        if reached - line > limit + 1e-9:
            yield (
                f"{where} is {percent(reached, 1)} for a victim that was trained on protected images, with chance at "
                f"{percent(line, 1)}; audit.require allows {percent(line + limit, 1)}"
            )
        elif scores["clean"].best - line <= limit:
            yield (
                f"{where}: even a victim that was trained on clean images reaches only "
                f"{percent(scores['clean'].best, 1)} with chance at {percent(line, 1)}, so nothing is proven; raise "
                "audit.epochs or audit.max_samples"
            )


def _least_protected_first(task: TaskEvidence) -> tuple[bool, float, str]:
    scores = task.scores[task.metric]
    reached = scores["protected"].best if "protected" in scores else 0.0
    return not task.wanted, task.chance[task.metric] - reached, task.name


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


def _details(
    victims: Sequence[VictimResult],
    judged: Sequence[TaskEvidence],
    means: dict[str, Score],
    attacks: Sequence[AttackEvidence],
) -> list[str]:
    worst = judged[0]
    details = [
        "Accuracies in this verdict are balanced over classes and taken at the best epoch: an attacker can stop early. "
        f"At the last epoch the mean on protected data is {percent(means['protected'].last)}."
    ]
    if len(judged) > 1:
        reached, line = percent(worst.judged("protected").best), percent(worst.chance[worst.metric])
        details.append(f"Weakest task: {worst.name}, {reached} with chance at {line}.")
    if attacks and attacks[0].name != "none":
        reached = percent(attacks[0].means["protected"].best)
        details.append(f"Strongest countermeasure: {attacks[0].name}, which wins back {reached}.")
    if "noise" in means:
        left = percent(means["noise"].best)
        details.append(f"For comparison, random noise of the same strength leaves {left}.")
    if len({victim.seed for victim in victims if victim.data == "protected"}) == 1:
        details.append("Each figure comes from one training run; repeat with other seeds before relying on small gaps.")
    return details
