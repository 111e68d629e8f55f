"""What protects against architectures that training never saw, measured on drawn datasets; `make results`.

    python benchmarks/strength.py                                        # all sections, as `make results`
    python benchmarks/strength.py --sections seeds --rows codes --seeds 3 4 5
    python benchmarks/strength.py --sections methods --victims stride5 plain --plot methods.png

Figures are mean balanced accuracy over all tasks on clean test images, in percent. Every cell is cached below
`data/results` (`benchmarks/cells.py`): a broken-off call goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from benchmarks.cells import AT_HALF, FIRST_ONLY, MADE, Version, curves
from benchmarks.pictures import Dataset, attributes, large_outlines, multifashion, outlines
from schemas.plans import VictimPlan
from schemas.training import Backbone, CountermeasureName, WeightingName


@dataclass(frozen=True)
class Section:
    """Cells that answer one question: every combination of what its fields name."""

    asks: str
    dataset: str = "multifashion"
    tasks: tuple[int, ...] = (2,)
    """Numbers of tasks; of MultiFashion always two."""
    rows: tuple[str, ...] = ("clean", "codes")
    seeds: tuple[int, ...] = (0,)
    victims: tuple[Backbone, ...] = ("stride5",)
    rates: tuple[float, ...] = (3e-3,)
    countermeasures: tuple[CountermeasureName, ...] = ("none",)
    weightings: tuple[WeightingName, ...] = ("ls",)
    stl: bool = False
    """Whether each task has a victim of its own."""


DRAWN = {"outlines": outlines, "large": large_outlines, "attributes": attributes}
"""Datasets that are harder to see and smaller: ten passes in batches of 64 instead of twelve in batches of 128."""

SECTIONS = {
    "methods": Section("Every method, an unseen victim", rows=("clean", "noise", *MADE, f"codes{FIRST_ONLY}")),
    "own": Section(
        "The surrogates' own architecture", rows=("clean", "codes", "em", "tap", "sep"), victims=("resnet18",)
    ),
    "unseen": Section("Unseen victims at two rates", victims=("stride5", "plain", "vgg16"), rates=(1e-3, 3e-3)),
    "seeds": Section("Other seeds", rows=("codes",), seeds=(1, 2), victims=("stride5", "plain", "vgg16")),
    "backbones": Section("Five backbones", victims=("resnet18", "resnet50", "vgg16", "densenet121", "vit_b_16")),
    "attacks": Section(
        "Attacks on what all images of a class have in common",
        rows=("clean", "codes", "codes, robust to gray", "fresh", "pil"),
        countermeasures=("gray", "projection", "mean_projection", "class_means"),
    ),
    "weightings": Section("Weightings of the victim", weightings=("ls", "rlw", "uw", "aligned_mtl", "fairgrad")),
    "stl": Section("Single-task victims", stl=True),
    "outlines": Section("The embedded dataset", dataset="outlines", rows=("clean", "noise", "codes", "pil", "em")),
    "sizes": Section(
        "64 px, and victims that see 32, 64 and 96",
        dataset="large",
        rows=("clean", "codes", f"codes{AT_HALF}"),
        countermeasures=("half_size", "none", "larger"),
    ),
    "attributes": Section(
        "The number of tasks (yes or no: chance 50)",
        dataset="attributes",
        tasks=(1, 2, 4, 8),
        rows=("clean", "codes", "pil"),
    ),
}
"""What `make results` measures, in this order."""


@dataclass(frozen=True)
class Cell:
    """One victim of one row."""

    section: Section
    tasks: int
    row: str
    seed: int
    victim: Backbone
    rate: float
    countermeasure: CountermeasureName
    weighting: WeightingName


def cells(section: Section) -> Iterator[Cell]:
    """Every combination, row by row."""
    for combination in product(
        section.tasks, section.rows, section.seeds, section.victims, section.rates, section.countermeasures,
        section.weightings,
    ):  # fmt: skip
        yield Cell(section, *combination)


@cache
def dataset(name: str, tasks: int, source: Path) -> Dataset:
    """Drawn once a process."""
    return multifashion(source) if name == "multifashion" else DRAWN[name](tasks)


def version_of(cell: Cell, source: Path, folder: Path) -> Version:
    """The training data of a cell."""
    return Version(cell.row, cell.seed, dataset(cell.section.dataset, cell.tasks, source), folder)


def make(cell: Cell, source: Path, folder: Path) -> None:
    """Store the images of a cell's row, if they are not there."""
    torch.set_num_threads(1)
    _ = version_of(cell, source, folder).images


def measure(cell: Cell, source: Path, folder: Path) -> tuple[dict[str, list[float]], float]:
    """Task → balanced accuracy per epoch, and the seconds that making the images took."""
    torch.set_num_threads(1)
    version, small = version_of(cell, source, folder), cell.section.dataset in DRAWN
    data, found = dataset(cell.section.dataset, cell.tasks, source), {}
    for only in [task.name for task in data.tasks] if cell.section.stl else [None]:
        plan = VictimPlan(
            tasks=data.tasks, data=cell.row, backbone=cell.victim, width=12, epochs=10 if small else 12,
            batch_size=64 if small else 128, augment=["crop"], seed=1 + cell.seed, learning_rate=cell.rate,
            countermeasure=cell.countermeasure, weighting=cell.weighting, only=only,
        )  # fmt: skip
        found |= curves(version, plan, data.test, folder)
    return found, version.seconds


def main() -> None:
    """Measure the cells that were not measured yet and print a Markdown table for each section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=list(SECTIONS))
    fields = parser.add_argument_group("instead of what a section names")
    more = [name + behind for name in MADE for behind in (FIRST_ONLY, AT_HALF)]
    fields.add_argument("--rows", nargs="+", choices=["clean", "noise", *MADE, *more])
    for name in ("victims", "countermeasures", "weightings"):
        fields.add_argument(f"--{name}", nargs="+")
    for name, number in (("tasks", int), ("seeds", int), ("rates", float)):
        fields.add_argument(f"--{name}", nargs="+", type=number)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--cache", type=Path, default=Path("data/results"))
    parser.add_argument("--jobs", type=int, default=2, help="cells that are measured side by side, one thread each")
    parser.add_argument("--plot", type=Path, help="draw the strongest victims' figures over seconds into this file")
    given = vars(parser.parse_args())
    names = ("rows", "victims", "countermeasures", "weightings", "tasks", "seeds", "rates")
    instead = {name: tuple(given[name]) for name in names if given[name] is not None}
    source, folder, started = given["source"], given["cache"], time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    points: dict[str, tuple[float, float]] = {}
    with ProcessPoolExecutor(given["jobs"], mp_context=get_context("spawn")) as pool:
        for section in (replace(SECTIONS[name], **instead) for name in given["sections"]):
            wanted = list(cells(section))
            versions = {(cell.tasks, cell.row, cell.seed): cell for cell in wanted}.values()
            list(pool.map(make, versions, [source] * len(versions), [folder] * len(versions)))
            print(f"\n## {section.asks} ({section.dataset})\n")
            print("| tasks | what makes δ | seed | seconds | victim | rate | against | last, each | last | best |")
            print(f"|{'---|' * 10}", flush=True)
            results = pool.map(measure, wanted, [source] * len(wanted), [folder] * len(wanted))
            for cell, (found, seconds) in zip(wanted, results, strict=True):
                print(line(cell, found, seconds), flush=True)
                reached = float(100 * np.mean(list(found.values()), axis=0).max())
                points[cell.row] = (seconds, max(points.get(cell.row, (0, 0))[1], reached))
    print(f"\n{time.monotonic() - started:.0f} s")
    if given["plot"]:
        chances = {50 if SECTIONS[name].dataset == "attributes" else 10 for name in given["sections"]}
        plot(points, given["plot"], chances)


def line(cell: Cell, found: dict[str, list[float]], seconds: float) -> str:
    """A row of the table."""
    mean = 100 * np.mean(list(found.values()), axis=0)
    victim = cell.victim + ("" if cell.weighting == "ls" else f", {cell.weighting}")
    victim += ", single-task" if cell.section.stl else ""
    last = " ".join(f"{100 * curve[-1]:.0f}" for curve in found.values())
    parts = [len(found), cell.row, cell.seed, f"{seconds:.0f}", victim, f"{cell.rate:g}", cell.countermeasure, last]
    return f"| {' | '.join(map(str, parts))} | {mean[-1]:.0f} | {mean.max():.0f} |"


def plot(points: dict[str, tuple[float, float]], file: Path, chances: set[int]) -> None:
    """Draw what each row costs and leaves: seconds on a logarithmic axis, the strongest victim's best epoch."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for row, (seconds, reached) in points.items():
        axes.plot(max(seconds, 0.5), reached, "o")
        axes.annotate(row, (max(seconds, 0.5), reached), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="seconds to make δ", ylabel="strongest victim, best epoch (%)", ylim=(0, 100))
    for chance in chances:
        axes.axhline(chance, linestyle="--", linewidth=1, color="gray")
    figure.tight_layout()
    figure.savefig(file)


if __name__ == "__main__":
    main()
