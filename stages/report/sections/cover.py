"""The cover: what was done and what the test showed, in words for people who decide and are no engineers."""

from __future__ import annotations

from typing import Any

from stages.publish.certificate import statement
from stages.report.report_input import ReportInput


def facts(material: ReportInput) -> dict[str, Any]:
    """One paragraph; where nothing was published it says so."""
    samples, published = sum(record.samples for record in material.records), material.plan.published
    return {"statement": statement(published.name, samples, published.bound, material.evidence) if samples else ""}
