"""What protects against architectures that training never saw: `make results`, and `make results-real DATA=folder`.

    python benchmarks/strength.py                                        # drawn datasets, as `make results`
    python benchmarks/strength.py --real --source DATA                   # photographs, as `make results-real`
    python benchmarks/strength.py --sections seeds --rows codes --seeds 3 4 5
    python benchmarks/strength.py --sections methods --victims stride5 plain --plot methods.png

Figures are means over all tasks on clean test images, last epoch / best epoch; shares in percent. Every cell is cached
below `data/results` (`benchmarks/cells.py`): a broken-off call goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
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
from benchmarks.photographs import BALANCED, faces, photographed_rooms, turned_objects
from benchmarks.pictures import Dataset, attributes, large_outlines, multifashion, outlines
from benchmarks.sections import REAL, SECTIONS, Section
from schemas.errors import ConfigError
from schemas.metrics import Metric
from schemas.plans import VictimPlan
from schemas.training import Backbone, CountermeasureName, WeightingName


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


DATASETS: dict[str, Callable[[int, Path], Dataset]] = {
    "multifashion": lambda tasks, source: multifashion(source),
    "outlines": lambda tasks, source: outlines(tasks),
    "large": lambda tasks, source: large_outlines(tasks),
    "attributes": lambda tasks, source: attributes(tasks),
    "faces-8": lambda tasks, source: faces(source, 32, BALANCED[:tasks]),
    "fewer-faces-8": lambda tasks, source: faces(source, 32, BALANCED[:tasks], (3000, 1000)),
    "faces-40": lambda tasks, source: faces(source, 48),
    "turned-objects": lambda tasks, source: turned_objects(source),
    "photographed-rooms": lambda tasks, source: photographed_rooms(source),
}
"""Number of tasks, and the folder of what is not drawn → a dataset."""


@cache
def dataset(name: str, tasks: int, source: Path) -> Dataset:
    """Drawn or read once a process."""
    torch.set_num_threads(1)
    return DATASETS[name](tasks, source)


def version_of(cell: Cell, source: Path, folder: Path) -> Version:
    """The training data of a cell."""
    return Version(cell.row, cell.seed, dataset(cell.section.dataset, cell.tasks, source), folder)


def make(cell: Cell, source: Path, folder: Path) -> None:
    """Store the images of a cell's row, if they are not there."""
    torch.set_num_threads(1)
    _ = version_of(cell, source, folder).images


def measure(cell: Cell, source: Path, folder: Path) -> tuple[dict[str, list[float]], float]:
    """Metric → its mean over tasks per epoch, and the seconds that making the images took."""
    torch.set_num_threads(1)
    version, section = version_of(cell, source, folder), cell.section
    data, found = dataset(section.dataset, cell.tasks, source), {}
    for only in [task.name for task in data.tasks] if section.stl else [None]:
        plan = VictimPlan(
            tasks=data.tasks, data=cell.row, backbone=cell.victim, width=12, epochs=section.epochs,
            batch_size=section.batch_size, augment=list(data.augment), seed=1 + cell.seed, learning_rate=cell.rate,
            countermeasure=cell.countermeasure, weighting=cell.weighting, only=only,
        )  # fmt: skip
        found |= curves(version, plan, data.test, folder)
    return means(found, data), version.seconds


SHOWN = ("balanced_accuracy", "auc", "mean_iou", "absolute_error", "mean_angle")
"""Metrics of the table, where a task has them."""


def means(found: dict[str, dict[str, list[float]]], data: Dataset) -> dict[str, list[float]]:
    """Metric → the mean over the tasks that have it, per epoch; shares in percent."""
    shown: dict[str, list[float]] = {}
    for metric in metrics_of(data):
        of_tasks = [figures[metric.name] for figures in found.values() if metric.name in figures]
        scale = 100 if metric.is_share else 1
        shown[metric.name] = (scale * np.mean(of_tasks, axis=0)).tolist()
    return shown


def metrics_of(data: Dataset) -> list[Metric]:
    """The metrics of the table."""
    known = {metric.name: metric for task in data.tasks for metric in task.metrics}
    return [known[name] for name in SHOWN if name in known]


def main() -> int:
    """Measure the cells that were not measured yet and print a Markdown table for each section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="sections on photographs, from the folder --source")
    parser.add_argument("--sections", nargs="+", choices=[*SECTIONS, *REAL])
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
    sections = {**SECTIONS, **REAL}
    chosen = given["sections"] or list(REAL if given["real"] else SECTIONS)
    with ProcessPoolExecutor(given["jobs"], mp_context=get_context("spawn")) as pool:
        for section in (replace(sections[name], **instead) for name in chosen):
            metrics = metrics_of(dataset(section.dataset, section.tasks[0], source))
            wanted = list(cells(section))
            versions = {(cell.tasks, cell.row, cell.seed): cell for cell in wanted}.values()
            list(pool.map(make, versions, [source] * len(versions), [folder] * len(versions)))
            heads = ["tasks", "perturber", "seed", "seconds", "victim", "rate", "against"]
            heads += [metric.words + ("" if metric.is_share else f", {metric.unit}") for metric in metrics]
            print(f"\n## {section.asks} ({section.dataset})\n")
            print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
            results = pool.map(measure, wanted, [source] * len(wanted), [folder] * len(wanted))
            for cell, (found, seconds) in zip(wanted, results, strict=True):
                print(line(cell, found, seconds, metrics), flush=True)
                reached = metrics[0].best(found[metrics[0].name])
                points[cell.row] = (seconds, max(points.get(cell.row, (0, 0))[1], reached))
    print(f"\n{time.monotonic() - started:.0f} s")
    if given["plot"]:
        chances = {50 if sections[name].tasks[0] > 2 else 10 for name in chosen}
        plot(points, given["plot"], chances)
    return 0


def line(cell: Cell, found: dict[str, list[float]], seconds: float, metrics: list[Metric]) -> str:
    """A row of the table."""
    victim = cell.victim + ("" if cell.weighting == "ls" else f", {cell.weighting}")
    victim += ", single-task" if cell.section.stl else ""
    parts = [cell.tasks, cell.row, cell.seed, f"{seconds:.0f}", victim, f"{cell.rate:g}", cell.countermeasure]
    for metric in metrics:
        digits = 0 if metric.is_share else 2
        curve = found[metric.name]
        parts.append(f"{curve[-1]:.{digits}f} / {metric.best(curve):.{digits}f}")
    return f"| {' | '.join(map(str, parts))} |"


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
    try:
        sys.exit(main())
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        sys.exit(ConfigError.exit_code)
