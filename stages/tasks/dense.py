"""What kinds with a label per pixel have in common: reading, size, storage, augmentation, head.

Shapes: H×W pixels of an image, P values a pixel, R canonical side, N samples, B batch; h×w maps of F features,
O outputs a place.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import nn
from torch.nn import functional

from schemas.dataset import Layout
from schemas.errors import SampleError
from schemas.tasks import Task
from stages.io.images.decoding import decode_map
from stages.tasks.label_maps import ConvolvedLabels, Textures
from stages.tasks.task_kind import LabelEmbedding, TaskKind
from stages.transforms.movement import Movement

SHARES = (0.18, 0.36, 0.54)
"""Dilations as shares of the maps' side: 6, 12 and 18 of 33, as in the paper, whatever the size of the maps."""

LEAST_UNITS, MOST_UNITS = 16, 256


def normed(channels_in: int, channels: int) -> nn.Sequential:
    """1×1 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel_size=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


class Atrous(nn.Module):
    """3×3 convolution dilated by a share of the maps' side, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.convolution = nn.Conv2d(channels_in, channels, kernel_size=3, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, maps_BFhw: torch.Tensor) -> torch.Tensor:
        """B×F×h×w to B×channels×h×w."""
        reach = max(1, round(self.share * min(maps_BFhw.shape[2:])))
        weight = self.convolution.weight
        return functional.relu(self.norm(functional.conv2d(maps_BFhw, weight, padding=reach, dilation=reach)))


class ASPP(nn.Module):
    """1×1, three dilated 3×3 and the mean over places side by side, joined, then a linear layer to O.

    Args:
        features: F; an eighth of it, 16 to 256, are the units of each branch.
        outputs: O.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        units = min(MOST_UNITS, max(LEAST_UNITS, features // 8))
        self.near = normed(features, units)
        self.far = nn.ModuleList(Atrous(features, units, share) for share in SHARES)
        # No norm: a batch has few means.
        self.mean = nn.Sequential(nn.Conv2d(features, units, kernel_size=1), nn.ReLU(inplace=True))
        self.join = normed(5 * units, units)
        self.last = nn.Conv2d(units, outputs, kernel_size=1)

    def forward(self, maps_BFhw: torch.Tensor) -> torch.Tensor:
        """B×F×h×w to B×O×h×w."""
        mean = self.mean(maps_BFhw.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *maps_BFhw.shape[2:])
        branches = [self.near(maps_BFhw), *(branch(maps_BFhw) for branch in self.far), mean]
        output_BOhw: torch.Tensor = self.last(self.join(torch.cat(branches, dim=1)))
        return output_BOhw


def dense_head(features: int, outputs: int, *, bias: bool = True) -> nn.Module:
    """ASPP; without `bias` one linear layer that sees a small neighbourhood."""
    return ASPP(features, outputs) if bias else nn.Conv2d(features, outputs, kernel_size=9, padding=4, bias=False)


MOST_PIXELS = int(Layout.model_fields["max_pixels"].default)
"""Largest H·W of a label that is decoded."""


class DenseKind(TaskKind):
    """A label is H×W or H×W×P, None where there is none, and `unknown` in pixels without one.

    In a table it lies as R×R or P×R×R of `cell_type`.
    """

    dense = True
    cell_type: ClassVar[type[np.generic]]
    values: ClassVar[int] = 1
    """P."""
    unknown: ClassVar[int] = 0
    """What a pixel without a label holds."""
    outputs: int
    """Channels of the head."""
    planes: int
    """Channels of `planes_of`."""
    textures: int
    """Channels of `weights_of`."""

    @abstractmethod
    def planes_of(self, labels: torch.Tensor) -> torch.Tensor:
        """B labels to B×`planes`×R×R in -1..1, all 0 where nothing is known: what the generator's embedding sees."""

    @abstractmethod
    def weights_of(self, labels: torch.Tensor) -> torch.Tensor:
        """B labels to B×`textures`×R×R: by how much class codes show each texture; all 0 where nothing is known."""

    def packed(self, label: np.ndarray) -> np.ndarray:
        """A label as it lies in a table, without its type."""
        return label

    @property
    def missing(self) -> None:
        """None."""
        return None

    def is_missing(self, label: Any) -> bool:
        """Whether it is None."""
        return label is None

    def check(self, label: np.ndarray, height: int, width: int) -> None:
        """Refuse a label of another size than its image's."""
        if label.shape[:2] != (height, width):
            raise SampleError(
                "label-size",
                f"task {self.task.name!r}: field {self.task.field!r} has {label.shape[1]}×{label.shape[0]} pixels, its "
                f"image {width}×{height}; make both the same size (and turn both alike)",
            )

    def viewed(self, label: np.ndarray | None, side: int) -> np.ndarray | None:
        """The nearest pixel's value: labels must not be mixed."""
        if label is None or label.shape[:2] == (side, side):
            return label
        rows, columns = (_nearest(size, side) for size in label.shape[:2])
        return np.asarray(label[rows[:, None], columns[None, :]])

    def resized(self, labels: np.ndarray, side: int) -> np.ndarray:
        """As `viewed`."""
        here = _nearest(labels.shape[-1], side)
        return np.asarray(labels[..., here[:, None], here[None, :]])

    def column(self, side: int) -> pa.DataType:
        """Bytes of one length."""
        return pa.binary(side * side * self.values * np.dtype(self.cell_type).itemsize)

    def cell(self, label: np.ndarray | None) -> bytes | None:
        """Bytes, or None."""
        return None if label is None else np.ascontiguousarray(self.packed(label).astype(self.cell_type)).tobytes()

    def stored(self, column: pa.Array) -> np.ndarray:
        """N×R×R or N×P×R×R of `cell_type`; all `unknown` where there is no label."""
        width, item = column.type.byte_width, np.dtype(self.cell_type).itemsize
        side = round((width // item // self.values) ** 0.5)
        shape = (side, side) if self.values == 1 else (self.values, side, side)
        start = column.offset * width // item
        flat = np.frombuffer(column.buffers()[1], dtype=self.cell_type)[start : start + len(column) * width // item]
        labels = flat.reshape(len(column), *shape)
        if column.null_count:
            labels = labels.copy()
            labels[column.is_null().to_numpy(zero_copy_only=False)] = self.unknown
        return labels

    def moved(self, labels: torch.Tensor, movement: Movement) -> torch.Tensor:
        """The places of the image; what comes in from outside is unknown."""
        planes = labels[:, None] if labels.ndim == 3 else labels
        moved = movement.of_labels(planes, self.unknown)
        return moved.reshape(labels.shape)

    def embedding(self, channels: int, side: int) -> LabelEmbedding:
        """A small strided convolution."""
        return ConvolvedLabels(self.planes_of, self.planes, channels, side)

    def codes(self, channels: int, side: int) -> LabelEmbedding:
        """Textures, mixed pixel by pixel."""
        return Textures(self.weights_of, self.textures, channels, side)

    def head(self, features: int, *, bias: bool = True) -> nn.Module:
        """ASPP to `outputs` channels."""
        return dense_head(features, self.outputs, bias=bias)

    def quick_head(self, features: int) -> nn.Module:
        """A linear layer to `outputs` channels."""
        return nn.Conv2d(features, self.outputs, kernel_size=1)


def _nearest(size: int, side: int) -> np.ndarray:
    """Which of `size` pixels each of `side` pixels in their place shows, int64."""
    return ((np.arange(side) + 0.5) / side * size).astype(np.int64)


def read_values(raw: Any, task: Task, expected: str) -> np.ndarray | None:
    """The array of an npy or PNG member; None where the sample has none.

    Raises:
        SampleError: it is neither, or damaged; names task and field.
    """
    if raw is None:
        return None
    if isinstance(raw, bytes):
        try:
            raw = decode_map(raw, max_pixels=MOST_PIXELS)
        except SampleError as error:
            problem = f"task {task.name!r}: field {task.field!r}: {error.problem}"
            raise SampleError(error.reason, problem) from None
    if not isinstance(raw, np.ndarray):
        raise task.unreadable(raw, expected)
    if raw.dtype.kind not in "buif":
        raise task.unreadable(f"{raw.dtype} values", expected)
    values = raw[..., 0] if raw.ndim == 3 and raw.shape[2] == 1 else raw
    return values[0] if values.ndim == 3 and values.shape[0] == 1 else values


def place_of(wrong_HW: np.ndarray) -> str:
    """The first of some wrong pixels, and how many there are: `at row 3, column 5 (7 pixels)`."""
    row, column = np.unravel_index(int(wrong_HW.argmax()), wrong_HW.shape)
    return f"at row {row}, column {column} ({int(wrong_HW.sum())} pixels)"
