"""A table of images at one resolution with their labels: what trainers read, mapped from Arrow files without decoding.

Shapes: N samples, B batch, R resolution, K tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stages.io.images.pixel_layout import canonical_view
from stages.io.shards.sample import key_hash
from stages.tasks.task_kind import TaskKind


@dataclass(frozen=True)
class Batch:
    """Images in [0, 1] (B×3×R×R float32), labels (of each task, first axis B), gray flags (B bool)."""

    x_BCHW: torch.Tensor
    labels: tuple[torch.Tensor, ...]
    gray_B: torch.Tensor


@dataclass(frozen=True)
class ImageTable:
    """Images (list of R×R×3 uint8 arrays in chunks), labels and gray flags of N samples."""

    chunks: tuple[np.ndarray, ...]
    """Each n×R×R×3 uint8, mapped from disk; float16 in the same units where a countermeasure has changed them."""
    labels: tuple[np.ndarray, ...]
    """Of each task, first axis N."""
    gray_N: np.ndarray
    """bool: the image has one channel."""

    def __len__(self) -> int:
        return len(self.gray_N)

    def images(self, rows: np.ndarray) -> np.ndarray:
        """The images of some rows, in that order: len(rows)×R×R×3, of the type that they are stored in."""
        starts = np.cumsum([0, *(len(chunk) for chunk in self.chunks)])
        where = np.searchsorted(starts, rows, side="right") - 1
        out = np.empty((len(rows), *self.chunks[0].shape[1:]), dtype=self.chunks[0].dtype)
        for number in np.unique(where):
            inside = where == number
            out[inside] = self.chunks[number][rows[inside] - starts[number]]
        return out

    def resized(self, side: int, kinds: Sequence[TaskKind]) -> ImageTable:
        """The same samples at another resolution: `canonical_view`s of the images, with the labels of K tasks."""
        chunks = tuple(np.stack([canonical_view(image, side) for image in chunk]) for chunk in self.chunks)
        labels = tuple(kind.resized(of_task, side) for kind, of_task in zip(kinds, self.labels, strict=True))
        return replace(self, chunks=chunks, labels=labels)

    def batch(self, rows: np.ndarray, device: torch.device) -> Batch:
        """Some rows as a batch on a device, in channels-last memory."""
        x_BCHW = torch.from_numpy(self.images(rows)).to(device).permute(0, 3, 1, 2).float().div_(255)
        return Batch(
            x_BCHW,
            tuple(torch.from_numpy(label[rows]).to(device) for label in self.labels),
            torch.from_numpy(self.gray_N[rows]).to(device),
        )

    def batches(self, size: int, rng: torch.Generator, device: torch.device) -> Iterator[Batch]:
        """One pass in random order; a last batch of a single sample is left out (batch norm needs two)."""
        return self.batches_of(self.order(rng), size, device)

    def order(self, rng: torch.Generator) -> torch.Tensor:
        """All rows in random order, N int64."""
        return torch.randperm(len(self), generator=rng)

    def batches_of(self, order_N: torch.Tensor, size: int, device: torch.device) -> Iterator[Batch]:
        """A pass, or what is left of one: its rows in their order, as `batches`."""
        for start in range(0, len(order_N), size):
            rows = order_N[start : start + size].numpy()
            if len(rows) > 1 or len(self) == 1:
                yield self.batch(rows, device)

    def in_order(self, size: int, device: torch.device) -> Iterator[Batch]:
        """One pass in the order stored, for evaluation."""
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self))), device)


class TableWriter:
    """Writes one Arrow file of images and labels, in batches, at constant memory.

    Args:
        path: the file; written in place, so pass a temporary name.
        resolution: R.
        kinds: K tasks; each has a column of labels.
    """

    def __init__(self, path: Path, *, resolution: int, kinds: Sequence[TaskKind]) -> None:
        self.shape = (resolution, resolution, 3)
        self.schema = pa.schema(
            [
                ("image", pa.binary(resolution * resolution * 3)),
                ("gray", pa.bool_()),
                ("key", pa.binary(8)),
                *((f"label {number}", kind.column(resolution)) for number, kind in enumerate(kinds)),
            ]
        )
        self.sink = pa.OSFile(str(path), "wb")
        self.file = pa.ipc.new_file(self.sink, self.schema)
        self.kinds = kinds
        self.rows: list[tuple[Any, ...]] = []
        self.count = 0

    def add(self, image: np.ndarray, labels: Sequence[Any], *, gray: bool, key: str = "") -> None:
        """Add one sample; image R×R×3 uint8, one label a task, of the canonical view.

        By the hash of its key the sample of a training is cut.
        """
        if image.shape != self.shape or image.dtype != np.uint8:
            raise ValueError(f"a table of {self.shape} uint8 images got {image.shape} {image.dtype}")
        cells = (kind.cell(label) for kind, label in zip(self.kinds, labels, strict=True))
        self.rows.append((image.tobytes(), gray, key_hash(key), *cells))
        self.count += 1
        if len(self.rows) == 256:
            self._flush()

    def _flush(self) -> None:
        if self.rows:
            columns = [
                pa.array(column, field.type)
                for column, field in zip(zip(*self.rows, strict=True), self.schema, strict=True)
            ]
            self.file.write_batch(pa.record_batch(columns, schema=self.schema))
            self.rows = []

    def close(self) -> None:
        """Write what is left and end the file."""
        self._flush()
        self.file.close()
        self.sink.close()


def open_table(paths: Sequence[Path], kinds: Sequence[TaskKind]) -> ImageTable:
    """Map Arrow files as one table; images stay on disk until a batch reads them."""
    chunks, gray = [], []
    labels: list[list[np.ndarray]] = [[] for _ in kinds]
    for path in paths:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        for part in map(reader.get_batch, range(reader.num_record_batches)):
            image = part.column("image")
            resolution = round((image.type.byte_width / 3) ** 0.5)
            flat = np.frombuffer(image.buffers()[1], dtype=np.uint8)[: len(part) * image.type.byte_width]
            chunks.append(flat.reshape(len(part), resolution, resolution, 3))
            for number, kind in enumerate(kinds):
                labels[number].append(kind.stored(part.column(f"label {number}")))
            gray.append(part.column("gray").to_numpy(zero_copy_only=False))
    return ImageTable(tuple(chunks), tuple(map(np.concatenate, labels)), np.concatenate(gray))
