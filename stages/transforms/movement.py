"""What augmentation does to the places of a batch: drawn once, done to images and to labels with places alike.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional


class Movement(ABC):
    """What was drawn for the B images of a batch."""

    flip_B: torch.Tensor | None
    """bool, on the CPU: these images are mirrored left to right; None: no image is."""
    zoom_B: torch.Tensor | None
    """On the CPU, in (0, 1]: the share of an image's side that fills the whole of it; None: no size has changed."""

    @abstractmethod
    def of(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Move images. Differentiable."""

    @abstractmethod
    def of_labels(self, labels_BCHW: torch.Tensor, fill: float) -> torch.Tensor:
        """Move labels with a value per pixel, without mixing any; `fill` is what comes in from outside."""


@dataclass(frozen=True)
class Shift(Movement):
    """A shift of every image and a mirroring of some.

    Windows are shared by a handful of images: slicing is many times faster than indexing per image.
    """

    flip_B: torch.Tensor | None
    reach: int
    """Largest shift in pixels; 0: nothing is shifted."""
    windows: tuple[tuple[int, int, int], ...] = ()
    """(images, down, right): the window of that many images, one handful after the other, in the padded image."""
    zoom_B: torch.Tensor | None = None

    @classmethod
    def drawn(cls, count: int, side: int, names: Sequence[str], rng: torch.Generator) -> Shift:
        """Draw one of `count` images: half of them mirrored (`flip`), shifts up to side/8 (`crop`).

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

    def of(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Black comes in from outside."""
        return self.of_labels(x_BCHW, fill=0)

    def of_labels(self, labels_BCHW: torch.Tensor, fill: float) -> torch.Tensor:
        """Every pixel keeps its value."""
        if self.flip_B is not None:
            flip_B111 = self.flip_B[:, None, None, None].to(labels_BCHW.device)
            labels_BCHW = torch.where(flip_B111, labels_BCHW.flip(3), labels_BCHW)
        if not self.reach:
            return labels_BCHW
        height, width = labels_BCHW.shape[2:]
        parts = functional.pad(labels_BCHW, (self.reach,) * 4, value=fill).split(
            [count for count, _, _ in self.windows]
        )
        return torch.cat(
            [
                part[:, :, down : down + height, right : right + width]
                for part, (_, down, right) in zip(parts, self.windows, strict=True)
            ]
        )


@dataclass(frozen=True)
class Window(Movement):
    """A window of each image, resized to the whole; nothing comes in from outside."""

    zoom_B: torch.Tensor
    middle_B2: torch.Tensor
    """Middle of the window, (x, y) in -1..1 from border to border; the whole window lies inside."""
    flip_B: torch.Tensor | None = None

    @classmethod
    def drawn(cls, count: int, smallest: float, rng: torch.Generator) -> Window:
        """Draw windows of `smallest`..1 of the area, anywhere.

        Args:
            count: B.
            smallest: share of the area that is kept at least, in (0, 1].
            rng: CPU generator; the only source of randomness.
        """
        zoom_B = (smallest + (1 - smallest) * torch.rand(count, generator=rng)).sqrt()
        return cls(zoom_B, (2 * torch.rand(count, 2, generator=rng) - 1) * (1 - zoom_B)[:, None])

    def of(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Resized bilinearly."""
        return functional.grid_sample(
            x_BCHW, self._grid(x_BCHW.shape).to(x_BCHW), padding_mode="reflection", align_corners=False
        )

    def of_labels(self, labels_BCHW: torch.Tensor, fill: float) -> torch.Tensor:
        """Of the nearest pixel."""
        height, width = labels_BCHW.shape[2:]
        grid_BHW2 = self._grid(labels_BCHW.shape).to(labels_BCHW.device)
        columns_BHW = ((grid_BHW2[..., 0] + 1) / 2 * width).long().clamp(0, width - 1)
        rows_BHW = ((grid_BHW2[..., 1] + 1) / 2 * height).long().clamp(0, height - 1)
        places_BHW = rows_BHW * width + columns_BHW
        flat_BCP = labels_BCHW.flatten(2)
        return flat_BCP.gather(2, places_BHW.flatten(1)[:, None].expand_as(flat_BCP)).reshape(labels_BCHW.shape)

    def _grid(self, shape: Sequence[int]) -> torch.Tensor:
        """Where each pixel comes from, B×H×W×2, (x, y) in -1..1."""
        windows_B23 = torch.cat(
            [torch.diag_embed(self.zoom_B[:, None].expand(-1, 2)), self.middle_B2[:, :, None]], dim=2
        )
        return functional.affine_grid(windows_B23, list(shape), align_corners=False)
