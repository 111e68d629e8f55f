"""A victim: a fresh multi-task model, trained as an unauthorised user would, tested on clean held-out data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from schemas.config import Audit
from schemas.records import VictimResult
from schemas.tasks import MISSING, Task
from stages.learning.augment import augment
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import ImageTable
from stages.models.multitask import MultiTaskModel, multi_task_loss


def train_victim(
    train: ImageTable,
    test: ImageTable,
    settings: Audit,
    *,
    data: str,
    backbone: str,
    tasks: Sequence[Task],
    kinds: Sequence[str],
    seed: int,
    device: torch.device,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> VictimResult:
    """Train one victim and measure it on clean data after every epoch.

    Args:
        train: what it learns from (clean, noise or protected).
        test: clean held-out images at the same resolution.
        data: which version of the data `train` is, for the record.
        tasks: K tasks, in the order of the labels.
        kinds: augmentation, of `crop` and `flip`.
        seed: of weights, order and augmentation.
        device: where to train.
        report: called with (epochs done, epochs in all).
    """
    started = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MultiTaskModel(
            backbone,
            width=settings.width,
            class_counts=[task.class_count for task in tasks],
            resolution=train.chunks[0].shape[1],
        )
    to_device(model, device)
    rng = torch.Generator().manual_seed(seed)
    optimisation = Optimisation(model.parameters(), epochs=settings.epochs)
    accuracy, balanced = [], []
    for epoch in range(settings.epochs):
        model.train()
        for batch in train.batches(settings.batch_size, rng, device):
            optimisation.step(multi_task_loss(model(augment(batch.x_BCHW, kinds, rng)), batch.labels_BK))
        optimisation.end_epoch()
        predicted_NK = predict(model, test, settings.batch_size, device)
        scores = {
            task.name: scores_of(predicted_NK[:, number], test.labels_NK[:, number], task.class_count)
            for number, task in enumerate(tasks)
        }
        accuracy.append({name: score[0] for name, score in scores.items()})
        balanced.append({name: score[1] for name, score in scores.items()})
        report(epoch + 1, settings.epochs)
    return VictimResult(
        data=data,
        backbone=backbone,
        seed=seed,
        samples=len(train),
        accuracy=accuracy,
        balanced=balanced,
        seconds=time.monotonic() - started,
    )


def predict(model: MultiTaskModel, table: ImageTable, batch_size: int, device: torch.device) -> np.ndarray:
    """Most likely class of each sample and task, N×K int64; the model is in eval mode."""
    model.eval()
    with torch.inference_mode():
        rows = [
            torch.stack([logits_BC.argmax(dim=1) for logits_BC in model(batch.x_BCHW)], dim=1).cpu()
            for batch in table.in_order(batch_size, device)
        ]
    return torch.cat(rows).numpy()


def scores_of(predicted_N: np.ndarray, label_N: np.ndarray, classes: int) -> tuple[float, float]:
    """Accuracy and balanced accuracy (mean recall over the classes that occur), both in 0..1, over labelled samples."""
    known = label_N != MISSING
    if not known.any():
        return 0.0, 0.0
    right = predicted_N[known] == label_N[known]
    recalls = [right[label_N[known] == label].mean() for label in range(classes) if (label_N[known] == label).any()]
    return float(right.mean()), float(np.mean(recalls))
