"""What protects against architectures that training never saw, measured on drawn datasets; `make results`.

Every cell (what makes δ × a victim) is cached by its fingerprint below `data/results`, and so are the protected images:
a broken-off call goes on. MultiFashion has 6,000 + 2,000 images of 32 px with three equal channels and two tasks;
`--dataset outlines --tasks K` has 4,000 + 600 of K bodies. A task has ten classes, chance is 10 %. Figures are mean
balanced accuracy over all tasks on clean test images, in percent.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import torch

from schemas.fingerprints import fingerprint
from schemas.plans import Noise, TrainPlan, VictimPlan
from schemas.tasks import Task
from schemas.training import Train
from stages.audit.victims import train_victim
from stages.countermeasures.registry import COUNTERMEASURES
from stages.datasets.idx import read_products
from stages.datasets.multifashion import draw_pair
from stages.datasets.outlines import draw_outlines
from stages.learning.table import ImageTable
from stages.learning.weightings.registry import WEIGHTINGS
from stages.perturbers.generator import GeneratorPerturber
from stages.protect.perturb import add_perturbation
from stages.train.registry import MAKINGS
from stages.transforms.registry import transforms_of

CPU, EPSILON = torch.device("cpu"), 8 / 255
GENERATOR: dict[str, object] = {"perturber": "generator", "generator": "tiny", "width": 16, "epochs": 15}
CLEAN: dict[str, object] = {"width": 16, "surrogate_epochs": 8}
MADE: dict[str, dict[str, object]] = {
    "codes": {"perturber": "codes"},
    "codes, robust to gray": {"perturber": "codes", "robust": ["gray"]},
    "codes, robust to jpeg": {"perturber": "codes", "robust": ["jpeg"]},
    "codes, robust to all": {"perturber": "codes", "robust": ["jpeg", "blur", "resize", "gray", "band"]},
    "fresh": {**GENERATOR, "method": "fresh"},
    "em": {**GENERATOR, "method": "em"},
    "em, two surrogates": {**GENERATOR, "method": "em", "backbones": ["resnet18", "vgg16"]},
    "tap": {**GENERATOR, **CLEAN, "method": "tap"},
    "tap, untargeted": {**GENERATOR, **CLEAN, "method": "tap", "targeted": False},
    "sep": {**GENERATOR, **CLEAN, "method": "sep", "epochs": 4},
    "pil in the generator": {**GENERATOR, "method": "pil", "surrogate_epochs": 30},
    "em, no regularisers": {**GENERATOR, "method": "em", "lambda_intra": 0, "lambda_inter": 0},
    "em, intra only": {**GENERATOR, "method": "em", "lambda_inter": 0},
    "em, inter only": {**GENERATOR, "method": "em", "lambda_intra": 0},
    "pil": {"perturber": "pil", "surrogate_epochs": 30},
    "em-sample": {"perturber": "em-sample", "width": 16, "epochs": 8},
    "tap-sample": {"perturber": "tap-sample", **CLEAN},
    "sep-sample": {"perturber": "sep-sample", **CLEAN},
    "floor": {"perturber": "floor"},
    "lsp": {"perturber": "lsp"},
    "ar": {"perturber": "ar"},
}
"""Row → settings of the training; `clean` and `noise` need none."""
FIRST_ONLY = " (first task only)"
VICTIMS = ("stride5", "plain", "vgg16", "vit_b_16", "resnet18")
RATES = (1e-3, 3e-3)


class Dataset(NamedTuple):
    """Drawn pictures of two splits, and what is learned from them."""

    tasks: list[Task]
    side: int
    """Of a picture, in pixels."""
    train: ImageTable
    test: ImageTable


Draw = Callable[[int, str], tuple[np.ndarray, dict[str, int]]]
"""Index and split → a picture, H×W×3 uint8, and its labels."""


def dataset(draw: Draw, counts: tuple[int, int]) -> Dataset:
    """So many pictures for training and for tests."""
    names = list(draw(0, "train")[1])
    tables = []
    for split, count in zip(("train", "test"), counts, strict=True):
        drawn = [draw(index, split) for index in range(count)]
        columns = np.array([[label[name] for name in names] for _, label in drawn], dtype=np.int64).T
        images = np.stack([pixels for pixels, _ in drawn])
        tables.append(ImageTable((images,), tuple(column.copy() for column in columns), np.zeros(count, dtype=bool)))
    return Dataset([Task(field=f"json.{name}", classes=10) for name in names], tables[0].chunks[0].shape[1], *tables)


def multifashion(source: Path) -> Dataset:
    """As `mtlue import multifashion --size 32 --rgb` draws them."""
    products = {split: read_products(source, split) for split in ("train", "test")}

    def draw(index: int, split: str) -> tuple[np.ndarray, dict[str, int]]:
        pixels, labels = draw_pair(products[split], index, split=split, size=32)
        return np.repeat(pixels[..., None], 3, axis=2), {name: labels[name] for name in ("left", "right")}

    return dataset(draw, (6000, 2000))


def outlines(tasks: int) -> Dataset:
    """As `mtlue import outlines` draws them; 48 px where there are more than two bodies."""
    side = 32 if tasks <= 2 else 48
    return dataset(lambda index, split: draw_outlines(index, split=split, size=side, tasks=tasks), (4000, 600))


class Version:
    """The training data as a row has it; made when a cell first asks for it, and kept on disk.

    Args:
        row: `clean`, `noise`, or a key of `MADE`; with `FIRST_ONLY` behind it the other tasks are left alone.
        seed: of the training.
        data: clean images.
        cache: folder of what was made.
    """

    def __init__(self, row: str, seed: int, data: Dataset, cache: Path) -> None:
        self.row, self.seed, self.table = row, seed, data.train
        name, partial = row.removesuffix(FIRST_ONLY), row.endswith(FIRST_ONLY)
        self.plan: TrainPlan | None = None
        if name in MADE:
            settings = {"resolution": data.side, "augment": ["crop"], "seed": seed, **MADE[name]}
            protected = [number == 0 or not partial for number in range(len(data.tasks))]
            train = Train.model_validate(settings)
            self.plan = TrainPlan(train=train, tasks=data.tasks, protected=protected, epsilon=EPSILON)
        state = self.plan.fingerprint if self.plan else [row, [task.field for task in data.tasks]]
        self.fingerprint = fingerprint([state, seed])
        self.file = cache / f"images-{row.replace(' ', '-')}-{seed}.{self.fingerprint}.npz"

    @property
    def images(self) -> ImageTable:
        """The table with the pixels of this version."""
        if self.row == "clean":
            return self.table
        if not self.file.exists():
            started = time.monotonic()
            images = np.stack(self._noisy() if self.plan is None else self._protected(self.plan))
            np.savez(self.file, images=images, seconds=np.array(time.monotonic() - started))
        with np.load(self.file) as stored:
            return ImageTable((stored["images"],), self.table.labels, self.table.gray_N)

    @property
    def seconds(self) -> float:
        """That making δ of all images took, training included; 0 where nothing was made."""
        if not self.file.exists():
            return 0.0
        with np.load(self.file) as stored:
            return float(stored["seconds"])

    def _noisy(self) -> list[np.ndarray]:
        (noise,) = transforms_of([Noise(epsilon=EPSILON, seed=self.seed)])
        return [noise(image, str(number)) for number, image in enumerate(self.table.images(np.arange(len(self.table))))]

    def _protected(self, plan: TrainPlan) -> list[np.ndarray]:
        trained = MAKINGS[plan.train.perturber].train(self.table, plan, CPU).generator
        perturber, originals = GeneratorPerturber(trained, self.row), self.table.images(np.arange(len(self.table)))
        images: list[np.ndarray] = []
        for batch in self.table.in_order(500, CPU):
            deltas = perturber.delta(batch.x_BCHW, batch.labels, batch.gray_B, [""] * len(batch.x_BCHW))
            start = len(images)
            images += [add_perturbation(originals[start + n], delta, EPSILON) for n, delta in enumerate(deltas)]
        return images


def curves(version: Version, plan: VictimPlan, test: ImageTable, cache: Path) -> dict[str, list[float]]:
    """Task → balanced accuracy per epoch of one victim, from the cache where it was measured before."""
    state = fingerprint([plan.fingerprint, version.fingerprint])
    kind = f"{version.row.replace(' ', '-')}-{plan.backbone}-{plan.learning_rate:g}-{plan.countermeasure}"
    file = cache / f"{kind}-{version.seed}.{state}.json"
    if not file.exists():
        figures = train_victim(version.images, test, plan, CPU).figures
        file.write_text(
            json.dumps({name: [epoch[name]["balanced_accuracy"] for epoch in figures] for name in figures[0]})
        )
    found: dict[str, list[float]] = json.loads(file.read_text())
    return found


def main() -> None:
    """Measure the cells that were not measured yet and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=["multifashion", "outlines"], default="multifashion")
    parser.add_argument("--tasks", type=int, default=2, help="bodies in a picture of outlines")
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--cache", type=Path, default=Path("data/results"))
    parser.add_argument("--rows", nargs="+", default=["clean", "noise", *MADE, f"codes{FIRST_ONLY}"])
    parser.add_argument("--victims", nargs="+", default=list(VICTIMS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--countermeasures", nargs="+", default=["none"], choices=list(COUNTERMEASURES))
    parser.add_argument("--weightings", nargs="+", default=["ls"], choices=list(WEIGHTINGS))
    parser.add_argument("--stl", action="store_true", help="single-task victims instead of multi-task ones")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="draw the strongest victim's figures over seconds into this file")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    data = multifashion(chosen.source) if chosen.dataset == "multifashion" else outlines(chosen.tasks)
    names = [task.name for task in data.tasks]
    points: dict[str, tuple[float, float]] = {}
    print(f"| what makes δ | seed | seconds | victim | learning rate | against | {' | '.join(names)} | last | best |")
    print(f"|{'---|' * (len(names) + 8)}", flush=True)
    for row, seed in product(chosen.rows, chosen.seeds):
        version = Version(row, seed, data, chosen.cache)
        for backbone, rate, against, weighting in product(
            chosen.victims, chosen.rates, chosen.countermeasures, chosen.weightings
        ):
            found: dict[str, list[float]] = {}
            for only in names if chosen.stl else [None]:
                plan = VictimPlan(
                    tasks=data.tasks, data=row, backbone=backbone, width=12, epochs=chosen.epochs,
                    batch_size=chosen.batch_size, augment=["crop"], seed=1 + seed, learning_rate=rate,
                    countermeasure=against, weighting=weighting, only=only,
                )  # fmt: skip
                found |= curves(version, plan, data.test, chosen.cache)
            mean = 100 * np.mean(list(found.values()), axis=0)
            tasks = " | ".join(f"{100 * found[name][-1]:.0f}" for name in names)
            victim = backbone + ("" if weighting == "ls" else f", {weighting}") + (", STL" if chosen.stl else "")
            print(
                f"| {row} | {seed} | {version.seconds:.0f} | {victim} | {rate:g} | {against} | {tasks} | "
                f"{mean[-1]:.0f} | {mean.max():.0f} |",
                flush=True,
            )
            points[row] = (version.seconds, max(points.get(row, (0, 0))[1], float(mean.max())))
    if chosen.plot:
        plot(points, chosen.plot)


def plot(points: dict[str, tuple[float, float]], file: Path) -> None:
    """Draw what each row costs and leaves: seconds on a logarithmic axis, the strongest victim's best epoch."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for row, (seconds, reached) in points.items():
        axes.plot(max(seconds, 0.5), reached, "o")
        axes.annotate(row, (max(seconds, 0.5), reached), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="seconds to make δ", ylabel="strongest victim, best epoch (%)", ylim=(0, 100))
    axes.axhline(10, linestyle="--", linewidth=1, color="gray")
    figure.tight_layout()
    figure.savefig(file)


if __name__ == "__main__":
    main()
