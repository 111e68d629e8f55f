"""Seeds: each kind of victim has its mean and spread over them, and the verdict still counts the strongest."""

from __future__ import annotations

import statistics

import pytest

from schemas.evidence import Evidence
from stages.audit.verdict import reach_verdict
from stages.report.report import build_markdown
from tests.evidence import TASKS, make_victim, victims
from tests.unit.stages.report.test_report import Page, make_report


def over_seeds() -> Evidence:
    """Three seeds on protected data, the first of them the weakest victim."""
    first = victims(([0.50, 0.50], [0.10, 0.10]))
    more = [make_victim("protected", [0.5 + up, 0.5], [0.1 + up, 0.1], seed=seed) for seed, up in ((1, 0.1), (2, 0.2))]
    return reach_verdict(TASKS, [True, True], [*first, *more])


def test_the_verdict_counts_the_strongest_seed_and_the_cell_has_mean_and_spread() -> None:
    evidence = over_seeds()
    assert evidence.means["protected"].best == pytest.approx(0.5)
    cell = evidence.cells[0]
    assert (cell.data, cell.seeds, cell.backbone) == ("protected", 3, "resnet18")
    assert cell.best == pytest.approx(0.4)
    assert cell.best_deviation == pytest.approx(statistics.stdev([0.3, 0.4, 0.5]))
    assert [(each.data, each.seeds, each.best_deviation) for each in evidence.cells[1:]] == [
        ("noise", 1, None), ("clean", 1, None),
    ]  # fmt: skip
    assert any("strongest of 3 seeds" in detail for detail in evidence.details)
    assert not any("one training run" in detail for detail in evidence.details)


def test_every_kind_of_victim_stands_in_the_report_with_its_seeds() -> None:
    page = Page(make_report(evidence=over_seeds()))
    assert "Every victim" in page.text
    assert "40.0\u00a0% ± 10.0" in page.text.replace(" %", "\u00a0%")
    assert "| resnet18 at 0.001 | protected | 3 | 40.0\u00a0% ± 10.0 | 30.0\u00a0% ± 0.0 |" in build_markdown(
        "x", over_seeds()
    )
