"""Left out: samples that were quarantined, and shards that failed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stages.formatting import strays_text
from stages.report.report_input import ReportInput

QUARANTINE_SHOWN = 50
"""Samples listed by name; all are counted."""


def facts(material: ReportInput) -> dict[str, Any]:
    """Counts by reason, and the first by name."""
    quarantined = material.quarantined
    return {
        "quarantined": quarantined[:QUARANTINE_SHOWN],
        "quarantine_count": len(quarantined),
        "reasons": Counter(sample.reason for sample in quarantined).most_common(),
        "strays": strays_text(material.profiles),
        "failures": sorted(material.failures, key=lambda failure: failure.name),
    }
