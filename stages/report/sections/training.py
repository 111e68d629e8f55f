"""Training of the generator: its losses, and how much of δ the labels decide."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from stages.formatting import percent
from stages.perturbers.generator.explained import drowned
from stages.report.plots import Line, line_plot
from stages.report.report_input import ReportInput


def facts(material: ReportInput) -> dict[str, Any]:
    """One plot for each term of the loss: their scales differ by orders of magnitude; the share of the labels."""
    generator = material.generator
    if generator is None:
        return {"losses": [], "explained": "", "drowned": ""}
    terms = sorted({term for epoch in generator.losses for term in epoch}, key=lambda term: (term != "total", term))
    plots = []
    for term in terms:
        values = [epoch.get(term, math.nan) for epoch in generator.losses]
        title = f"Training loss over epochs: {term}"
        description = f"From {values[0]:.4g} at the first of {len(values)} epochs to {values[-1]:.4g} at the last."
        plot = line_plot([Line(term, values)], title=title, description=description, salt=f"loss {term}")
        plots.append({"term": term, "last": f"{values[-1]:.4g}", "plot": Markup(plot)})  # noqa: S704 - escaped there
    share = generator.explained
    return {
        "losses": plots,
        "explained": "" if share is None else percent(share),
        "drowned": drowned(share),
    }
