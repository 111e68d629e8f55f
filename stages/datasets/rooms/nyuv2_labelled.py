"""NYUv2 as published: 1,449 labelled pictures of 640×480 in one MATLAB 7.3 file, and the official split.

Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images" (ECCV 2012). Read are
`nyu_depth_v2_labeled.mat` (`images`, `depths`, `labels`; HDF5 shows MATLAB's H×W×3×N as N×3×W×H), `splits.mat` and, for
the masks, `classMapping40.mat`. There are no surface normals in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from schemas.errors import ConfigError, InputError, SampleError
from schemas.imports import Skipped
from stages.datasets.adapter import Checked, Members, OnDisk, Row
from stages.datasets.rooms.dense import dense_members
from stages.datasets.rooms.dense_checks import checked_depth
from stages.datasets.rooms.matlab import is_hdf5, open_hdf5, small_array
from stages.datasets.rooms.nyuv2_classes import MAPPING, class_table
from stages.datasets.tables.lists import find_file
from stages.io.store.checksums import file_sha256

FILE = "nyu_depth_v2_labeled.mat"
SPLITS_FILE = "splits.mat"
SPLITS = {"train": "trainNdxs", "test": "testNdxs"}
"""Split → array of the numbers, from 1, of its pictures."""


class NYUv2Labelled(OnDisk):
    """Members of a sample: `png`; `mask.png`, 0..12 (or 0..39) and 255; `depth.png`, millimetres, filled in."""

    name: ClassVar[str] = "nyuv2"

    classes: int = 13
    """Classes of the masks of the labelled file: 13, 40, or 0 for no masks."""

    def check(self) -> Checked:
        """Open the files and compare the shapes of the arrays."""
        path = find_file(self.source, FILE)
        arrays = self._arrays(path)
        count, _, width, height = arrays["images"].shape
        for name in ("depths", "labels"):
            if arrays[name].shape != (count, width, height):
                raise InputError(
                    f"{path}: {name} has the shape {arrays[name].shape}, images {arrays['images'].shape}; expected "
                    f"{(count, width, height)}: fetch it again"
                )
        digests: dict[str, int | str] = {"labelled": file_sha256(path)}
        digests["splits"] = file_sha256(self._splits(count)[0])
        if self.classes:
            class_table(self.source, self.classes)
            digests["mapping"] = file_sha256(self.source / MAPPING)
        return Checked(digests, count)

    def rows(self) -> Iterator[Row | Skipped]:
        """The pictures in the order of the file; keys are their numbers, from 1."""
        images = self._arrays(find_file(self.source, FILE))["images"]
        split_of = self._splits(len(images))[1]
        for number in range(1, len(images) + 1):
            place, split = f"{FILE}#{number}", split_of.get(number)
            if split is None:
                yield Skipped(reason="no-split", message=f"{place}: it is in no split of {SPLITS_FILE}; fetch it again")
            else:
                yield Row(split, f"{number:04d}", place, int(np.prod(images.shape[1:])), {})

    def members(self, row: Row) -> Members:
        """One picture with its labels; axes are turned back."""
        arrays, index = self._arrays(self.source / FILE), int(row.key) - 1
        mask_HW = self._mask(arrays["labels"][index].T) if self.classes else None
        image_HWC = np.ascontiguousarray(arrays["images"][index].transpose(2, 1, 0))
        return dense_members(image_HWC, mask_HW, checked_depth(arrays["depths"][index].T), None)

    def _mask(self, labels_HW: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        table, largest = _table(self.source, self.classes), int(labels_HW.max())
        if largest >= len(table):
            raise SampleError(
                "class-out-of-range", f"labels has {largest}, outside 0..{len(table) - 1}; fetch it again"
            )
        return table[labels_HW]

    def _arrays(self, path: Path) -> dict[str, Any]:
        if not is_hdf5(path):
            raise InputError(f"{path} is no MATLAB 7.3 file: its HDF5 header is not there; fetch it again")
        file = open_hdf5(path)
        missing = [name for name in ("images", "depths", "labels") if name not in file]
        if missing:
            raise InputError(f"{path} has no array {missing[0]!r}; found {', '.join(file)}: fetch it again")
        return {name: file[name] for name in ("images", "depths", "labels")}

    def _splits(self, count: int) -> tuple[Path, dict[int, str]]:
        """The file of the splits, and number of a picture → split."""
        try:
            path = find_file(self.source, SPLITS_FILE)
        except ConfigError as error:
            raise ConfigError(f"{error.problem}; it comes with NYUv2's tools") from None
        split_of: dict[int, str] = {}
        for split, name in SPLITS.items():
            for number in small_array(path, name).tolist():
                if not 1 <= number <= count:
                    raise InputError(f"{path}: {name} has {number}, outside 1..{count}; fetch both files again")
                if split_of.setdefault(number, split) != split:
                    raise InputError(f"{path}: {number} is in both {' and '.join(SPLITS.values())}; fetch it again")
        return path, split_of


@lru_cache(maxsize=2)
def _table(source: Path, classes: int) -> npt.NDArray[np.uint8]:
    return class_table(source, classes)
