"""What protects against architectures that training never saw, measured on MultiFashion; `make results`.

Every cell (what makes δ × a victim) is cached by its fingerprint below `data/results`, so a broken-off call goes on.
The images are 6,000 + 2,000 of 32 px with three equal channels, two tasks of ten classes; chance is 10 %.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from schemas.fingerprints import fingerprint
from schemas.plans import Noise, TrainPlan, VictimPlan
from schemas.tasks import Task
from schemas.training import Train
from stages.audit.victims import train_victim
from stages.countermeasures.registry import COUNTERMEASURES
from stages.datasets.idx import Products, read_products
from stages.datasets.multifashion import draw_pair
from stages.learning.table import ImageTable
from stages.perturbers.generator import GeneratorPerturber
from stages.protect.perturb import add_perturbation
from stages.train.registry import MAKINGS
from stages.transforms.registry import transforms_of

CPU, EPSILON, SIDE = torch.device("cpu"), 8 / 255, 32
TASKS = [Task(field="json.left", classes=10), Task(field="json.right", classes=10)]
GENERATOR: dict[str, object] = {"perturber": "generator", "generator": "tiny", "width": 16, "epochs": 15}
CLEAN: dict[str, object] = {"width": 16, "surrogate_epochs": 8}
MADE: dict[str, dict[str, object]] = {
    "codes": {"perturber": "codes"},
    "fresh": {**GENERATOR, "method": "fresh"},
    "em": {**GENERATOR, "method": "em"},
    "tap": {**GENERATOR, **CLEAN, "method": "tap"},
    "tap untargeted": {**GENERATOR, **CLEAN, "method": "tap", "targeted": False},
    "sep": {**GENERATOR, **CLEAN, "method": "sep", "epochs": 4},
    "pil in the generator": {**GENERATOR, "method": "pil", "surrogate_epochs": 30},
    "pil": {"perturber": "pil", "surrogate_epochs": 30},
    "em-sample": {"perturber": "em-sample", "width": 16, "epochs": 8},
    "tap-sample": {"perturber": "tap-sample", **CLEAN},
    "sep-sample": {"perturber": "sep-sample", **CLEAN},
    "floor": {"perturber": "floor"},
    "lsp": {"perturber": "lsp"},
    "ar": {"perturber": "ar"},
}
"""Row → settings of the training; `clean` and `noise` need none."""
VICTIMS = ("stride5", "plain", "vgg16", "vit_b_16", "resnet18")
RATES = (1e-3, 3e-3)


def table_of(products: Products, count: int, split: str) -> ImageTable:
    """Pictures of a split, drawn as `mtlue import multifashion --size 32 --rgb` does."""
    images, labels = [], []
    for index in range(count):
        pixels, label = draw_pair(products, index, split=split, size=SIDE)
        images.append(np.repeat(pixels[..., None], 3, axis=2))
        labels.append([label["left"], label["right"]])
    columns = np.array(labels, dtype=np.int64).T
    return ImageTable((np.stack(images),), (columns[0].copy(), columns[1].copy()), np.zeros(count, dtype=bool))


def changed(table: ImageTable, images: list[np.ndarray]) -> ImageTable:
    """The table with other pixels."""
    return ImageTable((np.stack(images),), table.labels, table.gray_N)


def version(row: str, seed: int, table: ImageTable) -> tuple[ImageTable, float]:
    """The training data as a row has it, and the seconds that making δ took."""
    originals = list(table.images(np.arange(len(table))))
    if row == "clean":
        return table, 0.0
    if row == "noise":
        (noise,) = transforms_of([Noise(epsilon=EPSILON, seed=seed)])
        return changed(table, [noise(image, str(number)) for number, image in enumerate(originals)]), 0.0
    settings = Train.model_validate({"resolution": SIDE, "augment": ["crop"], "seed": seed, **MADE[row]})
    plan = TrainPlan(train=settings, tasks=TASKS, protected=[True, True], epsilon=EPSILON)
    started = time.monotonic()
    perturber = GeneratorPerturber(MAKINGS[settings.perturber].train(table, plan, CPU).generator, row)
    images = []
    for batch in table.in_order(500, CPU):
        deltas = perturber.delta(batch.x_BCHW, batch.labels, batch.gray_B, [""] * len(batch.x_BCHW))
        start = len(images)
        images += [add_perturbation(originals[start + number], delta, EPSILON) for number, delta in enumerate(deltas)]
    return changed(table, images), time.monotonic() - started


def main() -> None:
    """Measure the cells that were not measured yet and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--cache", type=Path, default=Path("data/results"))
    parser.add_argument("--rows", nargs="+", default=["clean", "noise", *MADE])
    parser.add_argument("--victims", nargs="+", default=list(VICTIMS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--countermeasures", nargs="+", default=["none"], choices=list(COUNTERMEASURES))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    train, test = (
        table_of(read_products(chosen.source, split), n, split) for split, n in (("train", 6000), ("test", 2000))
    )
    print("| what makes δ | seconds | victim | learning rate | countermeasure | last | best |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    for row in chosen.rows:
        made: tuple[ImageTable, float] | None = None
        for backbone, rate, against in product(chosen.victims, chosen.rates, chosen.countermeasures):
            plan = VictimPlan(
                tasks=TASKS, data=row, backbone=backbone, width=12, epochs=chosen.epochs, batch_size=128,
                augment=["crop"], seed=1, learning_rate=rate, countermeasure=against,
            )  # fmt: skip
            state = fingerprint([plan.fingerprint, MADE.get(row, {}), chosen.seed, Train().model_dump(mode="json")])
            file = chosen.cache / f"{row}-{backbone}-{rate:g}-{chosen.seed}.{state}.json"
            if not file.exists():
                made = made or version(row, chosen.seed, train)
                figures = train_victim(made[0], test, plan, CPU).figures
                curve = [float(np.mean([e[task.name]["balanced_accuracy"] for task in TASKS])) for e in figures]
                file.write_text(json.dumps({"seconds": made[1], "curve": curve}))
            cell = json.loads(file.read_text())
            curve = cell["curve"]
            shown = f"{100 * curve[-1]:.0f} | {100 * max(curve):.0f}"
            print(f"| {row} | {cell['seconds']:.0f} | {backbone} | {rate:g} | {against} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
