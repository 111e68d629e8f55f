"""Line plots as inline SVG: text stays text, colours follow the page, the same data gives the same bytes."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

TEXT, GRID, REFERENCE = "#010101", "#020202", "#030303"
COLOURS = {
    TEXT: "var(--muted)",
    GRID: "var(--line)",
    REFERENCE: "var(--ink)",
    "#0a0a01": "var(--clean)",
    "#0a0a02": "var(--noise)",
    "#0a0a03": "var(--protected)",
    "#0a0a04": "var(--accent)",
}  # stand-ins that no palette holds → the page's own colours, so that plots follow dark mode and print

STYLES: dict[str, tuple[str, str, str]] = {
    "clean": ("#0a0a01", "-", "o"),
    "noise": ("#0a0a02", "--", "s"),
    "protected": ("#0a0a03", "-", "D"),
    "value": ("#0a0a04", "-", "o"),
}  # colour, dash and marker: distinct without colour as well


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: a value per epoch."""

    label: str
    values: Sequence[float]
    style: str = "value"
    """A key of `STYLES`."""


def line_plot(
    lines: Sequence[Line],
    *,
    title: str,
    description: str,
    salt: str,
    reference: tuple[str, float] | None = None,
    share: bool = False,
) -> str:
    """Draw values over epochs.

    Args:
        lines: the curves; values that are not finite leave a gap.
        title: stands above the plot, any text.
        description: what a reader who cannot see the plot should know, any text.
        salt: differs between plots of one page, so that their ids do.
        reference: label and value of a horizontal line.
        share: values lie in 0..1 and are shown as percentages on a fixed axis.

    Returns:
        A `<figure>` with its title and an `<svg>`, safe to put into HTML as it is.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none", "font.size": 9.5}):
        figure = Figure(figsize=(4.9, 2.7))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0.105, 0.15, 0.865, 0.70 if len(lines) + (reference is not None) > 1 else 0.80))
        for line in lines:
            colour, dash, marker = STYLES[line.style]
            values = [value if math.isfinite(value) else math.nan for value in line.values]
            axes.plot(
                range(1, len(values) + 1), values, color=colour, linestyle=dash, linewidth=1.9, label=line.label,
                marker=marker, markersize=3.6, markevery=max(1, len(values) // 12),
            )  # fmt: skip
        if reference is not None:
            axes.axhline(reference[1], color=REFERENCE, linestyle=":", linewidth=1.4, label=reference[0])
        if share:
            axes.set_ylim(0, 1)
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        else:
            axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("epoch", color=TEXT)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.tick_params(colors=TEXT, length=0)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(GRID)
        if len(lines) + (reference is not None) > 1:
            axes.legend(
                loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, frameon=False, labelcolor=TEXT,
                handlelength=2.2, columnspacing=1.4, borderpad=0.2,
            )  # fmt: skip
        drawn = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # the time of drawing would change every report
        figure.savefig(drawn, format="svg", transparent=True, metadata=nothing)
    return _embed(drawn.getvalue(), title, description)


def _embed(svg: str, title: str, description: str) -> str:
    """Strip what only a stand-alone file needs, and name the plot, for screen readers too."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>|<g/>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font(-family)?: ([\d.]+px )?[^;\"]*sans-serif", r"font-size: \2", svg).replace("font-size: ;", "")
    for sentinel, colour in COLOURS.items():
        svg = svg.replace(sentinel, colour)
    view = re.search(r'viewBox="[^"]*"', svg)
    name, summary = html.escape(title), html.escape(description)
    head = f'<svg class="plot" role="img" aria-label="{name}. {summary}" {view.group() if view else ""}>'
    body = re.sub(r"\s*\n\s*", " ", svg[svg.index(">") + 1 :])
    drawing = f"{head}<title>{name}</title><desc>{summary}</desc>{body}"
    return f'<figure class="drawn"><figcaption>{name}</figcaption>{drawing}</figure>'
