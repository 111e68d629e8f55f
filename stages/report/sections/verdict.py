"""The head: what the evidence says in one sentence, and what was asked of it."""

from __future__ import annotations

from typing import Any

from stages.report.sections.base import Material


def facts(material: Material) -> dict[str, Any]:
    """The evidence."""
    return {"evidence": material.evidence}
