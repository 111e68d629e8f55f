"""The report of one run: one HTML file that needs nothing else, and the evidence as Markdown for a ticket or a mail.

It is private: it shows originals and the amplified perturbation, and belongs into `work`, never into `output`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import jinja2
from markupsafe import Markup

from schemas.evidence import Evidence, Score
from schemas.metrics import Metric
from schemas.secrets import scrub
from stages.countermeasures.words import WORDS
from stages.formatting import duration, figure, percent, within
from stages.report.report_input import Facts, ReportInput
from stages.report.sections import audit, data, evidence, running
from stages.report.sections.evidence import QUESTIONS, cell_row, leak_row

SECTIONS: dict[str, Facts] = {
    "summary": data.summary_facts,
    "audit": audit.facts,
    "victims": evidence.victims_facts,
    "countermeasures": evidence.countermeasures_facts,
    "leaks": evidence.leaks_facts,
    "pictures": data.pictures_facts,
    "labels": data.labels_facts,
    "sizes": data.sizes_facts,
    "left_out": data.left_out_facts,
    "training": running.training_facts,
    "environment": running.environment_facts,
    "limits": running.limits_facts,
}
"""Template → what it is given, in the order of the page."""

HEADING = re.compile(r'<h2 id="([a-z-]+)">([^<]+)</h2>')
"""Of a section: its anchor and its title."""


def build_report(material: ReportInput) -> str:
    """Write the report.

    Returns:
        One HTML document without script and without a single outside request. All text from the data is escaped.
    """
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("stages.report", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(percent=percent, scrub=scrub, duration=duration)

    def rendered(name: str, facts: Facts) -> Markup:
        return Markup(templates.get_template(f"{name}.html.j2").render(facts(material)))  # noqa: S704 - it escapes

    sections = [rendered(name, facts) for name, facts in SECTIONS.items()]
    return templates.get_template("page.html.j2").render(
        name=material.plan.published.name,
        style=Markup(templates.get_template("report.css").render()),  # noqa: S704 - our own style sheet
        cover=rendered("cover", evidence.cover_facts),
        verdict=rendered("verdict", evidence.verdict_facts),
        contents=[found for section in sections for found in HEADING.findall(section)],
        sections=sections,
    )


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
        shown = [_score(metric, scores["protected"], which) for which in ("best", "last")]
        clean, line = _score(metric, scores["clean"], "best"), figure(metric, task.chance[task.metric], 1)
        word = task.word if task.wanted else "left open on purpose"
        yield f"| {_plain(task.name)} | {word} | {metric.words} | {' | '.join(shown)} | {clean} | {line} |"
    if evidence.attacks:
        yield ""
        yield f"| countermeasure | protected, best ({evidence.metric.words}) | clean, best | counted |"
        yield "|---|---|---|---|"
        for attack in evidence.attacks:
            cells = [
                _score(evidence.metric, attack.means[data], "best") if data in attack.means else "–"
                for data in ("protected", "clean")
            ]
            counted = (evidence.attack_note(attack.name) or "yes") if attack.counts else "no: needs a leak"
            yield f"| {WORDS.get(attack.name, attack.name)} | {' | '.join(cells)} | {counted} |"
    if evidence.cells:
        yield ""
        yield "| victim | trained on | seeds | best | last |"
        yield "|---|---|---|---|---|"
        for cell in evidence.cells:
            yield f"| {' | '.join(cell_row(evidence.metric, cell).values())} |"
    if evidence.leaks:
        yield ""
        yield "| what it gives away | about | reached | with noise instead | clean | chance |"
        yield "|---|---|---|---|---|---|"
        for leak in evidence.leaks:
            row = leak_row(leak)
            controls = " | ".join(row[name] for name in ("noise", "clean", "chance"))
            reached = f"{row['reached']}{bracketed(row['within'])} {row['metric']}"
            yield f"| {QUESTIONS[leak.name]} | {_plain(row['about'])} | {reached} | {controls} |"
    yield ""
    backbones = ", ".join(sorted({victim.backbone for victim in evidence.victims}))
    seeds = ", ".join(str(seed) for seed in sorted({victim.seed for victim in evidence.victims}))
    yield (
        f"{len(evidence.victims)} victims ({backbones}; seeds {seeds}), tested on {evidence.test_samples} clean "
        f"held-out images; trained on {evidence.audited or 'a sample of the data'}. In brackets: 95 % intervals "
        "over the test images (bootstrap)."
    )
    if evidence.split:
        yield ""
        yield (
            "The test images are a fifth of this dataset, by the hash of the keys: no victim has learned from them, "
            "the training of the generator has."
        )
    tried = {attack.name for attack in evidence.attacks}
    missing = [words for each, words in WORDS.items() if each not in tried and each != "none"]
    if missing:
        yield ""
        yield f"Not tried: {', '.join(missing)}."
    if evidence.left_out:
        yield ""
        yield f"Left out for want of time: {'; '.join(map(_plain, evidence.left_out))}."


def _score(metric: Metric, score: Score, which: str) -> str:
    """A figure, and its 95 % interval where that is known."""
    value, error = getattr(score, which), getattr(score, f"{which}_error")
    return figure(metric, value, 1) + bracketed(within(metric, value, error))


def bracketed(text: str) -> str:
    """An addition in brackets; nothing for nothing."""
    return f" ({text})" if text else ""


def _plain(text: str) -> str:
    """Text of the data in a Markdown table: no cell, no tag and no line ends early."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.replace("`", "\\`").replace("[", "\\[").split())
