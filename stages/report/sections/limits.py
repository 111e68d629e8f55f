"""Known limits: what no figure above says."""

from __future__ import annotations

from typing import Any

from stages.report.sections.base import Material


def facts(material: Material) -> dict[str, Any]:
    """Nothing: the limits are the same for every run."""
    return {}
