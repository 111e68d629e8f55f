"""Training at another size: the attacker makes all images smaller or larger before the model sees them.

Attackers resize as a matter of course, and protection at one scale says nothing about another (docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stages.countermeasures.countermeasure import Countermeasure, Data


@dataclass(frozen=True)
class Scaled(Countermeasure):
    """Both tables at `scale` times their side, rounded to a multiple of 4."""

    scale: float

    @property
    def cost(self) -> float:
        """As the number of pixels."""
        return self.scale**2

    def resolution(self, side: int) -> int:
        """The side in pixels that the victim sees instead of `side`."""
        return max(4, round(side * self.scale / 4) * 4)

    def changed(self, data: Data) -> Data:
        """Bilinear with antialiasing, as tables are made; of labels the nearest pixel."""
        side = self.resolution(data.train.chunks[0].shape[1])
        train, test = (table.resized(side, data.kinds) for table in (data.train, data.test))
        return replace(data, train=train, test=test)
