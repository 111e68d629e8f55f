"""δ of a shard's samples, batch by batch; where it depends on labels alone, each combination of them is computed once.

Shapes: B images of a batch, R canonical resolution, K tasks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from stages.ingest.ingest import ReadSample
from stages.io.images.pixel_layout import canonical_view, is_gray
from stages.learning.table import Batch
from stages.perturbers.perturber import Perturber
from stages.protect.arrays import delta_of, labels_at
from stages.tasks.task_kind import TaskKind

KEPT_BYTES = 32 * 2**20
"""Largest sum of the δ that are kept: 680 at R = 64."""


class Delta(NamedTuple):
    """δ of one image."""

    values_CRR: torch.Tensor
    """3×R×R in [-ε, +ε], on the CPU."""
    name: bytes | None
    """The same for every image that has this δ; None: no other image has it."""


class Deltas:
    """δ of samples from one perturber.

    Args:
        perturber: what gives δ.
        kinds: the K tasks.
    """

    def __init__(self, perturber: Perturber, kinds: Sequence[TaskKind]) -> None:
        self.perturber, self.kinds = perturber, kinds
        self.kept: OrderedDict[bytes, Delta] = OrderedDict()

    def of(self, samples: Sequence[ReadSample]) -> list[Delta]:
        """δ of each sample, in order.

        Raises:
            GeneratorError: δ protects nothing.
        """
        side = self.perturber.resolution
        of_tasks = zip(*(sample.labels for sample in samples), strict=True)
        labels = [labels_at(kind, list(each), side) for kind, each in zip(self.kinds, of_tasks, strict=True)]
        gray_B = np.array([is_gray(sample.image.pixels) for sample in samples])
        if self.perturber.sees_images:
            views = np.stack([canonical_view(sample.image.pixels, side) for sample in samples])
            views_BCRR = torch.from_numpy(views).permute(0, 3, 1, 2).float().div_(255)
            batch = Batch(views_BCRR, tuple(map(torch.from_numpy, labels)), torch.from_numpy(gray_B))
            deltas = delta_of(batch, self.perturber, [sample.sample.key for sample in samples])
            return [Delta(delta_CRR, None) for delta_CRR in deltas]
        names = [b"".join(each[row].tobytes() for each in (*labels, gray_B)) for row in range(len(samples))]
        found = {name: self.kept[name] for name in dict.fromkeys(names) if name in self.kept}
        new = {name: row for row, name in reversed([*enumerate(names)]) if name not in found}
        if new:
            rows = list(new.values())
            batch = Batch(
                torch.zeros(()).expand(len(rows), 3, side, side),
                tuple(torch.from_numpy(each[rows]) for each in labels),
                torch.from_numpy(gray_B[rows]),
            )
            deltas = delta_of(batch, self.perturber, [samples[row].sample.key for row in rows])
            found |= {name: Delta(delta_CRR.clone(), name) for name, delta_CRR in zip(new, deltas, strict=True)}
        self._keep(found)
        return [found[name] for name in names]

    def _keep(self, found: dict[bytes, Delta]) -> None:
        """Keep what a batch asked for, and forget what was asked for longest ago."""
        for name, delta in found.items():
            self.kept[name] = delta
            self.kept.move_to_end(name)
        size = 4 * 3 * self.perturber.resolution**2
        while len(self.kept) * size > KEPT_BYTES:
            self.kept.popitem(last=False)
