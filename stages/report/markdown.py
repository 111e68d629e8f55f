"""The evidence as Markdown, beside the HTML report: for a ticket, a pull request, a mail. It holds no picture."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.evidence import Evidence
from stages.report.sections.countermeasures import WORDS
from stages.report.wording import figure


def build_markdown(name: str, evidence: Evidence) -> str:
    """The summary, the tasks and the countermeasures, the worst row first, the victims, and what was not run.

    Args:
        name: of the dataset.
        evidence: of an audit.
    """
    return "\n".join(_lines(name, evidence)) + "\n"


def _lines(name: str, evidence: Evidence) -> Iterator[str]:
    yield f"# {_plain(name)}: {evidence.word}"
    yield ""
    yield _plain(evidence.sentence)
    yield from (f"- {_plain(detail)}" for detail in ["", *evidence.details] if detail)
    yield from (f"- **Falls short**: {_plain(shortfall)}" for shortfall in evidence.shortfalls)
    if not evidence.means:
        return
    yield ""
    yield "| task | verdict | figure | protected, best | protected, last | clean | chance |"
    yield "|---|---|---|---|---|---|---|"
    for task in evidence.tasks:
        metric, scores = task.judged_by, task.judged_scores
        shown = [figure(metric, getattr(scores["protected"], which), 1) for which in ("best", "last")]
        clean, line = figure(metric, scores["clean"].best, 1), figure(metric, task.chance[task.metric], 1)
        word = task.word if task.wanted else "left open on purpose"
        yield f"| {_plain(task.name)} | {word} | {metric.words} | {' | '.join(shown)} | {clean} | {line} |"
    if evidence.attacks:
        yield ""
        yield f"| countermeasure | protected, best ({evidence.metric.words}) | clean, best | counted |"
        yield "|---|---|---|---|"
        for attack in evidence.attacks:
            cells = [
                figure(evidence.metric, attack.means[data].best, 1) if data in attack.means else "–"
                for data in ("protected", "clean")
            ]
            counted = "yes" if attack.counts else "no: needs originals"
            yield f"| {WORDS.get(attack.name, attack.name)} | {' | '.join(cells)} | {counted} |"
    yield ""
    backbones = ", ".join(sorted({victim.backbone for victim in evidence.victims}))
    seeds = ", ".join(str(seed) for seed in sorted({victim.seed for victim in evidence.victims}))
    yield (
        f"{len(evidence.victims)} victims ({backbones}; seeds {seeds}), tested on {evidence.test_samples} clean "
        f"held-out images; trained on {evidence.audited or 'a sample of the data'}."
    )
    tried = {attack.name for attack in evidence.attacks}
    missing = [words for each, words in WORDS.items() if each not in tried and each != "none"]
    if missing:
        yield ""
        yield f"Not tried: {', '.join(missing)}."
    if evidence.left_out:
        yield ""
        yield f"Left out for want of time: {'; '.join(map(_plain, evidence.left_out))}."


def _plain(text: str) -> str:
    """Text of the data in a Markdown table: no cell, no tag and no line ends early."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.replace("`", "\\`").replace("[", "\\[").split())
