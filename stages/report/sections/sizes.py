"""Sizes and modes of the input images."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stages.formatting import number
from stages.report.report_input import ReportInput, merged


def facts(material: ReportInput) -> dict[str, Any]:
    """Smallest, mean and largest side, and how many samples have which mode."""
    profiles = material.profiles
    modes: Counter[str] = Counter()
    for profile in profiles:
        modes.update(profile.modes)
    sides = {"width": [profile.width for profile in profiles], "height": [profile.height for profile in profiles]}
    sizes = {
        "modes": sorted(modes.items(), key=lambda item: (-item[1], item[0])),
        "rotated": sum(profile.rotated for profile in profiles),
        "rows": [
            (name, number(merged.minimum, 0), number(merged.mean), number(merged.maximum, 0))
            for name, merged in ((name, merged(moments)) for name, moments in sides.items())
            if merged.count
        ],
    }
    return {"sizes": sizes}
