"""Known limits: what no figure above says."""

from __future__ import annotations

from typing import Any

from stages.report.report_input import ReportInput


def facts(material: ReportInput) -> dict[str, Any]:
    """Nothing: the limits are the same for every run."""
    return {}
