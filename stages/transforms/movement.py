"""What augmentation does to the places of a batch: drawn once, done to images and to labels with places alike.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Movement:
    """A shift of every image and a mirroring of some.

    Windows are shared by a handful of images: slicing is many times faster than indexing per image.
    """

    flip_B: torch.Tensor | None
    """bool, on the CPU: these images are mirrored left to right; None: none is."""
    reach: int
    """Largest shift in pixels; 0: nothing is shifted."""
    windows: tuple[tuple[int, int, int], ...] = ()
    """(images, down, right): the window of that many images, one handful after the other, in the padded image."""

    @classmethod
    def drawn(cls, count: int, side: int, names: Sequence[str], rng: torch.Generator) -> Movement:
        """Draw a movement of `count` images: half of them mirrored (`flip`), shifts up to side/8 (`crop`).

        Args:
            count: B.
            side: H and W.
            names: of `crop` and `flip`.
            rng: CPU generator; the only source of randomness.
        """
        flip_B = torch.rand(count, generator=rng) < 0.5 if "flip" in names else None
        if "crop" not in names:
            return cls(flip_B, 0)
        reach, handful = max(1, side // 8), max(1, count // 8)
        windows = []
        for start in range(0, count, handful):
            down, right = torch.randint(0, 2 * reach + 1, (2,), generator=rng).tolist()
            windows.append((min(handful, count - start), down, right))
        return cls(flip_B, reach, tuple(windows))

    def of(self, maps_BCHW: torch.Tensor, *, fill: float = 0.0) -> torch.Tensor:
        """Move B×C×H×W; `fill` is what comes in from outside. Differentiable."""
        if self.flip_B is not None:
            flip_B111 = self.flip_B[:, None, None, None].to(maps_BCHW.device)
            maps_BCHW = torch.where(flip_B111, maps_BCHW.flip(3), maps_BCHW)
        if not self.reach:
            return maps_BCHW
        height, width = maps_BCHW.shape[2:]
        parts = functional.pad(maps_BCHW, (self.reach,) * 4, value=fill).split([count for count, _, _ in self.windows])
        return torch.cat(
            [
                part[:, :, down : down + height, right : right + width]
                for part, (_, down, right) in zip(parts, self.windows, strict=True)
            ]
        )
