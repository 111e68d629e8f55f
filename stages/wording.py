"""Figures and names as text for people: percentages, durations, addresses without credentials, Markdown."""

from __future__ import annotations

import math
import re

_SCHEME = r"\b[a-zA-Z][a-zA-Z0-9+.-]*://"


def percent(share: float, digits: int = 0) -> str:
    """A share of 0..1 as text: `14 %`, with a no-break space."""
    return f"{100 * share:.{digits}f}\u00a0%"


def number(value: float, digits: int = 1) -> str:
    """A number with grouped thousands; `∞` where it is infinite, `–` where there is none (NaN)."""
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as people say them: `4.2 s`, `48 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f}\u00a0s"
    if whole < 3600:
        return f"{whole // 60}\u00a0min {whole % 60}\u00a0s"
    return f"{whole // 3600}\u00a0h {whole % 3600 // 60}\u00a0min"


def scrub(text: object) -> str:
    """Take credentials out of every address in a text: user name, password, query and fragment (signed URLs)."""
    shown = re.sub(rf"({_SCHEME})[^\s/?#'\"<>]*@", r"\1", str(text))
    return re.sub(rf"({_SCHEME}[^\s?#'\"<>]*)[?#][^\s'\"<>]*", r"\1", shown)


def markdown_text(value: object) -> str:
    """Escape a name for Markdown, tables included: no markup, no HTML, no line break gets through."""
    text = re.sub(r"\s+", " ", str(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", text)
