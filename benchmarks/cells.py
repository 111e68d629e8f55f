"""The cells of `make results`: training data as a row has it, and what a victim learns from it; each is kept on disk.

A cell's file is named by the fingerprint of all that decides it, so that a broken-off call goes on where it was.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.pictures import Dataset
from schemas.model import fingerprint
from schemas.plans import Noise, TrainPlan, VictimPlan
from schemas.protection import POISONING, WITHSTANDING
from schemas.training import Train
from stages.audit.train_victim import train_victim
from stages.countermeasures.leaked_originals import protected_again
from stages.learning.table import ImageTable
from stages.transforms.pixels import transforms_of

CPU, EPSILON = torch.device("cpu"), 8 / 255
ALONE: dict[str, object] = {"perturber": "generator", "generator": "tiny", "epochs": 5}
GENERATOR: dict[str, object] = {**ALONE, "width": 8}
CLEAN: dict[str, object] = {"width": 8, "surrogate_epochs": 4}
MADE: dict[str, dict[str, object]] = {
    "codes": {"perturber": "codes"},
    "codes, 24 rounds": {"perturber": "codes", "rounds": 24},
    "codes, achromatic": {"perturber": "codes", "achromatic": True},
    "codes, cells of 2 px": {"perturber": "codes", "cell": 2},
    "codes, robust to gray": {"perturber": "codes", "robust": ["gray"]},
    "codes, robust to jpeg": {"perturber": "codes", "robust": ["jpeg"]},
    "codes, robust to all": {"perturber": "codes", "robust": ["jpeg", "blur", "resize", "gray", "band"]},
    "fresh": {**ALONE, "method": "fresh"},
    "em": {**GENERATOR, "method": "em"},
    "em, two surrogates": {**GENERATOR, "method": "em", "backbones": ["resnet18", "vgg16"]},
    "tap": {**GENERATOR, **CLEAN, "method": "tap"},
    "tap, untargeted": {**GENERATOR, **CLEAN, "method": "tap", "targeted": False},
    "tap, achromatic": {**GENERATOR, **CLEAN, "method": "tap", "achromatic": True},
    "tap in colour": POISONING,
    "withstand gray": {**POISONING, **WITHSTANDING["gray"]},
    "withstand gray and half size": {**POISONING, **WITHSTANDING["half_size"]},
    "sep": {**GENERATOR, **CLEAN, "method": "sep", "epochs": 3},
    "pil in the generator": {**ALONE, "method": "pil", "surrogate_epochs": 30},
    "em, no regularisers": {**GENERATOR, "method": "em", "lambda_intra": 0, "lambda_inter": 0},
    "em, intra only": {**GENERATOR, "method": "em", "lambda_inter": 0},
    "em, inter only": {**GENERATOR, "method": "em", "lambda_intra": 0},
    "pil": {"perturber": "pil", "surrogate_epochs": 30},
    "em-sample": {"perturber": "em-sample", "width": 8, "epochs": 3},
    "tap-sample": {"perturber": "tap-sample", **CLEAN},
    "sep-sample": {"perturber": "sep-sample", **CLEAN},
    "floor": {"perturber": "floor"},
    "lsp": {"perturber": "lsp"},
    "ar": {"perturber": "ar"},
}
"""Row → settings of the training; `clean` and `noise` need none. `withstand gray and half size` is what a run of yes/no
tasks gets that names no training (`schemas/protection.py`), `codes` that of others. A generator and its per-sample
original have surrogates of one width, and passes with which they take about as long as each other."""
FIRST_ONLY, AT_HALF = " (first task only)", " (at half the side)"
"""What may stand behind a row: the other tasks are left alone; δ is made for smaller images and enlarged."""


class Version:
    """The training data as a row has it; made when a cell first asks for it, and kept on disk.

    Args:
        row: `clean`, `noise`, or a key of `MADE`, perhaps with `FIRST_ONLY` or `AT_HALF` behind it.
        seed: of the training.
        data: clean images.
        cache: folder of what was made.
    """

    def __init__(self, row: str, seed: int, data: Dataset, cache: Path) -> None:
        self.row, self.seed, self.table = row, seed, data.train
        name, partial = row.removesuffix(FIRST_ONLY).removesuffix(AT_HALF), row.endswith(FIRST_ONLY)
        self.plan: TrainPlan | None = None
        if name in MADE:
            side = data.side // 2 if row.endswith(AT_HALF) else data.side
            settings = {"resolution": side, "augment": data.augment, "seed": seed, **MADE[name]}
            protected = [number == 0 or not partial for number in range(len(data.tasks))]
            train = Train.model_validate(settings)
            self.plan = TrainPlan(train=train, tasks=data.tasks, protected=protected, epsilon=EPSILON)
        state = self.plan.fingerprint if self.plan else [row, [task.field for task in data.tasks]]
        self.fingerprint = fingerprint([state, seed, data.name] if data.name else [state, seed])
        self.file = cache / f"images-{row.replace(' ', '-')}-{seed}.{self.fingerprint}.npz"

    @property
    def images(self) -> ImageTable:
        """The table with the pixels of this version."""
        if self.row == "clean":
            return self.table
        if not self.file.exists():
            started = time.monotonic()
            images = np.stack(self._noisy()) if self.plan is None else protected_again(self.table, self.plan, CPU)
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


def curves(version: Version, plan: VictimPlan, test: ImageTable, cache: Path) -> dict[str, dict[str, list[float]]]:
    """Task → metric → its figure after each epoch of one victim, from the cache where it was measured before."""
    state = fingerprint([plan.fingerprint, version.fingerprint])
    kind = f"{version.row.replace(' ', '-')}-{plan.backbone}-{plan.learning_rate:g}-{plan.countermeasure}"
    file = cache / f"{kind}-{version.seed}.{state}.figures.json"
    if not file.exists():
        epochs = train_victim(version.images, test, plan, CPU).figures
        figures = {
            task: {metric: [epoch[task][metric] for epoch in epochs] for metric in first}
            for task, first in epochs[0].items()
        }
        file.write_text(json.dumps(figures))
    found: dict[str, dict[str, list[float]]] = json.loads(file.read_text())
    return found
