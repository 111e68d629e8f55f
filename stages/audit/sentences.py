"""An audit's verdict in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.evidence import Cell, Evidence, TaskEvidence, Word
from schemas.metrics import ADVANTAGE, BALANCED_ACCURACY, Metric
from stages.countermeasures.words import WORDS
from stages.formatting import figure, names


def sentence_of(evidence: Evidence, overall: Word, leaking: Sequence[str]) -> str:
    """The whole in one sentence.

    Args:
        evidence: with its means and countermeasures.
        overall: the word about the mean.
        leaking: tasks that are worse off than the mean.
    """
    metric, means = evidence.metric, evidence.means
    reached = _reached(metric, means["protected"].best)
    clean, chance = figure(metric, means["clean"].best), figure(metric, evidence.chance)
    if overall == "not proven":
        return _nothing_proven(evidence)
    figures = (
        f"reach {reached} on clean test data{_by_attack(evidence)}; chance is {chance}, clean training reaches {clean}."
        f"{_unproven(evidence)}"
    )
    if overall == "not protected":
        return f"These images are not protected: victims trained on them {figures}"
    if overall == "weakened":
        return f"The protection hinders training but does not stop it: victims trained on these images {figures}"
    if leaking:
        return (
            f"Protected on average, but not in every task ({', '.join(leaking)}): "
            f"victims trained on the protected images {figures}"
        )
    return f"Victims trained on the protected images {figures}"


def _nothing_proven(evidence: Evidence) -> str:
    """Why the audit proves nothing: no victim learns, or no victim that was trained on protected images."""
    metric, clean = evidence.metric, evidence.means["clean"].best
    if any(judge.judges for judge in evidence.judges) or metric.advantage(clean, evidence.chance) <= 0:
        return (
            f"Nothing is proven: even victims trained on the clean images reach only {_reached(metric, clean)} on "
            f"clean test data, and chance is {figure(metric, evidence.chance)}. "
            "Raise audit.epochs or audit on more samples."
        )
    return (
        "Nothing is proven: no victim that was trained on protected images learns half of what the best clean victim "
        "learns from clean images. Raise audit.epochs or audit on more samples."
    )


def _unproven(evidence: Evidence) -> str:
    """Tasks of which nothing is proven, as a further sentence; empty where there are none."""
    tasks = [task.name for task in evidence.tasks if task.wanted and task.word == "not proven"]
    return f" Nothing is proven about {names(tasks)}: no victim learns enough of it from clean images." if tasks else ""


def _by_attack(evidence: Evidence) -> str:
    """Which countermeasure they needed for it, and what they reach without; nothing where they needed none."""
    plain = next((attack for attack in evidence.attacks if attack.name == "none" and "protected" in attack.means), None)
    attack = next((attack for attack in evidence.attacks if attack.counts and "protected" in attack.means), None)
    if attack is None or plain is None or attack.name == "none":
        return ""
    without = figure(evidence.metric, plain.means["protected"].best)
    return f" with the strongest countermeasure ({WORDS.get(attack.name, attack.name)}; {without} without any)"


def details_of(evidence: Evidence, judged: Sequence[TaskEvidence]) -> list[str]:
    """What stands below the sentence, a sentence each.

    Args:
        evidence: with its means, countermeasures and cells.
        judged: tasks that were to be protected, the least protected first.
    """
    worst, means, metric = judged[0], evidence.means, evidence.metric
    what = "Accuracies in this verdict are balanced over classes and" if metric == BALANCED_ACCURACY else "Figures are"
    details = [
        f"{what} taken at the best epoch: an attacker can stop early. "
        f"At the last epoch the mean on protected data is {figure(metric, means['protected'].last)}."
    ]
    if metric == ADVANTAGE:
        details.append(
            "Beyond chance means: of accuracies the difference from chance, of errors the share of the chance line's "
            "error that is gone."
        )
    if len(judged) > 1:
        by = worst.judged_by
        reached, line = figure(by, worst.judged("protected").best), figure(by, worst.chance[worst.metric])
        details.append(f"Weakest task: {worst.name}, {reached} with chance at {line}.")
    if "noise" in means:
        left = figure(metric, means["noise"].best)
        details.append(f"For comparison, random noise of the same strength leaves {left}.")
    protected = [victim for victim in evidence.victims if victim.data == "protected"]
    if len({victim.seed for victim in protected}) == 1:
        details.append("Each figure comes from one training run; set audit.seeds before relying on small gaps.")
    details += evidence.notes
    details += [_over_seeds(metric, cell) for cell in evidence.cells[:1]]
    return [detail for detail in details if detail]


def _over_seeds(metric: Metric, cell: Cell) -> str:
    """How far the seeds of the strongest kind of victim lie apart; empty with one seed."""
    if cell.best_deviation is None:
        return ""
    return (
        f"The verdict counts the strongest of {cell.seeds} seeds. Of the strongest kind of victim ({cell.backbone} at "
        f"{cell.learning_rate:g}) they reach {figure(metric, cell.best, 1)} on average, with a standard deviation of "
        f"{figure(metric, cell.best_deviation, 1)}."
    )


def _reached(metric: Metric, value: float) -> str:
    """`34 % mean accuracy`, `a mean absolute error of 3.2 years`, `4 % beyond chance`."""
    if metric == ADVANTAGE:
        return f"{figure(metric, value)} beyond chance in the mean over tasks"
    if metric.is_share:
        return f"{figure(metric, value)} mean {metric.subject}"
    return f"a {metric.subject} of {figure(metric, value)}"
