"""NYUv2 as multi-task learning has it: 795 and 654 pictures of 288×384 as npy files, 13 classes, with normals.

The export of Liu et al., "End-to-End Multi-Task Learning with Attention" (CVPR 2019): `train/image/0.npy` (floats in
0..1), `label` (classes 0..12, -1 is none), `depth` (metres, 0 is none), `normal`, and the same below `val` (here: the
split `test`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from schemas.errors import ConfigError, SampleError
from schemas.imports import Skipped
from stages.datasets.adapter import Checked, Members, OnDisk, Row
from stages.datasets.rooms.dense import dense_members
from stages.datasets.rooms.dense_checks import check_sizes, checked_depth, checked_image, checked_mask, checked_normals
from stages.datasets.rooms.nyuv2_classes import CLASSES

SPLITS = {"train": "train", "val": "test", "test": "test"}
"""Directory → split."""

KINDS = ("image", "label", "depth", "normal")
"""Directories of a split."""


class NYUv2Export(OnDisk):
    """Members of a sample: `png`; `mask.png`, 0..12 and 255; `depth.png`, 16 bits, millimetres; `normals.npy`."""

    name: ClassVar[str] = "nyuv2"

    def check(self) -> Checked:
        """Look for the directories."""
        for folder in self._folders():
            missing = [kind for kind in KINDS if not (folder / kind).is_dir()]
            if missing:
                raise ConfigError(f"{folder} has no folder {missing[0]}; unpack the whole export there")
        return Checked({}, sum(len(_numbers(folder)) for folder in self._folders()))

    def rows(self) -> Iterator[Row | Skipped]:
        """The pictures of each split by their numbers."""
        for folder in self._folders():
            for number in _numbers(folder):
                files = [folder / kind / f"{number}.npy" for kind in KINDS]
                missing = [file.relative_to(self.source).as_posix() for file in files if not file.is_file()]
                if missing:
                    yield Skipped(reason="missing-file", message=f"{missing[0]} is not there; unpack the export again")
                    continue
                size = sum(file.stat().st_size for file in files)
                place = files[0].relative_to(self.source).as_posix()
                yield Row(SPLITS[folder.name], f"{folder.name}-{number:05d}", place, size, {})

    def members(self, row: Row) -> Members:
        """One picture with its labels."""
        image_file = self.source / row.place
        image, label, depth, normal = (_load(image_file.parents[1] / kind / image_file.name) for kind in KINDS)
        image_HWC, mask_HW = checked_image(image), checked_mask(label, len(CLASSES))
        depth_HW, normals_HWC = checked_depth(depth), checked_normals(normal)
        check_sizes({"mask": mask_HW, "depth": depth_HW, "normals": normals_HWC}, image_HWC)
        return dense_members(image_HWC, mask_HW, depth_HW, normals_HWC)

    def _folders(self) -> list[Path]:
        return [self.source / name for name in SPLITS if (self.source / name / "image").is_dir()]


def _numbers(folder: Path) -> list[int]:
    return sorted({int(path.stem) for kind in KINDS for path in (folder / kind).glob("*.npy") if path.stem.isdecimal()})


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise SampleError(
            "damaged-file", f"{path.parent.name}/{path.name} is no whole npy file ({error}); fetch it again"
        ) from None
