"""The HTML report of one run: one file that needs nothing else, for the person who decides whether to publish.

It is private: it shows originals and the amplified perturbation, and belongs into `work`, never into `output`.
"""

from __future__ import annotations

import re

import jinja2
from markupsafe import Markup

from schemas.secrets import scrub
from stages.formatting import duration, percent
from stages.report.report_input import Facts, ReportInput
from stages.report.sections import audit, cover, data, evidence, running

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
        cover=rendered("cover", cover.facts),
        verdict=rendered("verdict", evidence.verdict_facts),
        contents=[found for section in sections for found in HEADING.findall(section)],
        sections=sections,
    )
