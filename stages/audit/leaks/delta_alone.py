"""What does δ alone predict? A linear probe from δ to the label of each task.

Yu et al., KDD 2022 ("Availability attacks create shortcuts"): the perturbations of nearly all such protections are
linearly separable by class, and that is what makes them work. A figure near chance on a task that is to be protected
says that δ holds no shortcut for it; a high one also that whoever has a pair can read the label off its difference. A
task that was left open should stand at chance.

Dense tasks, whose labels are per pixel, are passed over.

Shapes: N pairs, R resolution, D = 3·R·R values.
"""

from __future__ import annotations

import numpy as np
import torch

from schemas.evidence import Leak
from stages.audit.leaks.base import Pairs
from stages.audit.leaks.probe import probed


def delta_alone(pairs: Pairs) -> list[Leak]:
    """One figure a task, on pairs that the probe has not seen."""
    largest = max(1, *(int(np.abs(_delta(pairs, rows)).max()) for rows in pairs.halves))

    def values(rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(_delta(pairs, rows).reshape(len(rows), -1)).float() / largest

    leaks = []
    for task, kind, labels in zip(pairs.tasks, pairs.kinds, pairs.labels, strict=True):
        if kind.dense:
            continue
        metric, reached, line, error = probed(values, labels, kind, pairs.halves, pairs.seed)
        tested = len(pairs.halves[1])
        leaks.append(
            Leak(
                name="delta_alone",
                task=task.name,
                metric=metric,
                reached=reached,
                chance=line,
                error=error,
                samples=tested,
            )
        )
    return leaks


def _delta(pairs: Pairs, rows: np.ndarray) -> np.ndarray:
    """Protected minus clean in levels of 255, len(rows)×R×R×3 int16."""
    delta: np.ndarray = pairs.protected[rows].astype(np.int16) - pairs.clean[rows].astype(np.int16)
    return delta
