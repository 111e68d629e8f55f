"""Every kind of victim: what each reached over its seeds, the strongest on protected data first."""

from __future__ import annotations

from typing import Any

from schemas.evidence import Cell
from schemas.metrics import Metric
from stages.formatting import figure
from stages.report.report_input import ReportInput


def facts(material: ReportInput) -> dict[str, Any]:
    """One row a cell."""
    evidence = material.evidence
    return {
        "cells": [cell_row(evidence.metric, cell) for cell in evidence.cells],
        "notes": evidence.notes,
        "figure": evidence.metric.words,
        "several": any(cell.seeds > 1 for cell in evidence.cells),
    }


def cell_row(metric: Metric, cell: Cell) -> dict[str, str]:
    """Figures as text, with their deviation over the seeds."""
    return {
        "victim": f"{cell.backbone}{', one task each' if cell.single else ''} at {cell.learning_rate:g}",
        "data": cell.data,
        "seeds": str(cell.seeds),
        "best": _spread(metric, cell.best, cell.best_deviation),
        "last": _spread(metric, cell.last, cell.last_deviation),
    }


def _spread(metric: Metric, mean: float, deviation: float | None) -> str:
    """`14.2 %`, of several seeds `14.2 % ± 1.1`."""
    apart = "" if deviation is None else f" ± {figure(metric, deviation, 1).removesuffix(metric.unit).strip()}"
    return figure(metric, mean, 1) + apart
