"""Figures of victims that were never trained, for what is made of them: verdict, report, last lines."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.evidence import VictimResult
from schemas.tasks import Task

TASKS = [Task(field="json.shape", classes=["disc", "<script>alert(2)</script>"]), Task(field="json.size", classes=10)]

CHANCE = {
    "shape": {"balanced_accuracy": 0.5, "accuracy": 0.6},
    "size": {"balanced_accuracy": 0.1, "accuracy": 0.2},
}

Curves = Sequence[float]
"""A figure in 0..1 at each epoch."""


def make_victim(data: str, shape: Curves, size: Curves, *, seed: int = 0) -> VictimResult:
    """A victim with these curves, the same for both metrics."""
    figures = [
        {
            task: {"balanced_accuracy": value, "accuracy": value}
            for task, value in (("shape", of_shape), ("size", of_size))
        }
        for of_shape, of_size in zip(shape, size, strict=True)
    ]
    return VictimResult(
        data=data,
        backbone="resnet18",
        learning_rate=1e-3,
        seed=seed,
        samples=9,
        test_samples=100,
        chance=CHANCE,
        figures=figures,
        seconds=1,
    )


def victims(
    protected: tuple[Curves, Curves], *, clean: tuple[Curves, Curves] = ([0.8, 0.9], [0.6, 0.7])
) -> list[VictimResult]:
    """One victim on each version of the data, with curves of the tasks `shape` and `size`."""
    return [
        make_victim("clean", *clean),
        make_victim("noise", [0.7, 0.85], [0.5, 0.65]),
        make_victim("protected", *protected),
    ]


GOOD = victims(([0.55, 0.52], [0.12, 0.11]))
