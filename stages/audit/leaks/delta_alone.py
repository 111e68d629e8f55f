"""What does δ alone predict? A linear probe from δ to the label of each task.

Yu et al., KDD 2022 ("Availability attacks create shortcuts"): the perturbations of nearly all such protections are
linearly separable by class, and that is what makes them work. A figure near chance on a task that is to be protected
says that δ holds no shortcut for it; a high one also that whoever has a pair can read the label off its difference. A
task that was left open should stand at chance.

Random noise of the same strength is the control: where an image is black or white, what is added is cut, and the
difference shows the image.

Dense tasks, whose labels are per pixel, are passed over.

Shapes: N pairs, R resolution, D = 3·R·R values.
"""

from __future__ import annotations

import numpy as np
import torch

from schemas.evidence import Leak
from stages.audit.leaks.pairs import Pairs
from stages.audit.leaks.probe import Values, probed


def delta_alone(pairs: Pairs) -> list[Leak]:
    """One figure a task, on pairs that the probe has not seen, beside that of random noise."""
    asked = [number for number, kind in enumerate(pairs.kinds) if not kind.dense]
    labels, kinds = [pairs.labels[number] for number in asked], [pairs.kinds[number] for number in asked]
    if not asked:
        return []
    reached, controls = (
        probed(_values(pairs, images), labels, kinds, pairs.halves, pairs.seed)
        for images in (pairs.protected, pairs.noise)
    )
    return [
        Leak(
            name="delta_alone",
            task=pairs.tasks[number].name,
            metric=found.metric,
            reached=found.reached,
            chance=found.chance,
            noise=control.reached,
            error=found.error,
            samples=len(pairs.halves[1]),
        )
        for number, found, control in zip(asked, reached, controls, strict=True)
    ]


def _values(pairs: Pairs, images_NRRC: np.ndarray) -> Values:
    """Images minus clean ones, scaled so that the largest difference is 1."""

    def delta(rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = images_NRRC[rows].astype(np.int16) - pairs.clean[rows].astype(np.int16)
        return found

    largest = max(1, *(int(np.abs(delta(rows)).max()) for rows in pairs.halves))
    return lambda rows: torch.from_numpy(delta(rows).reshape(len(rows), -1)).float() / largest
