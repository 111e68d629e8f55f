"""NYUv2, in either of the layouts in which people have it: the labelled file as published, or the export as npy files.

As published: 1,449 labelled pictures of 640×480 in one MATLAB 7.3 file, and the official split. Source: Silberman et
al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. The import reads
`nyu_depth_v2_labeled.mat` (`images`, `depths`, `labels`; HDF5 shows MATLAB's H×W×3×N as N×3×W×H), `splits.mat` and, for
the masks, `classMapping40.mat`. It has no surface normals.

The export of Liu et al., "End-to-End Multi-Task Learning with Attention" (CVPR 2019), has 795 and 654 pictures of
288×384 as npy files. They are `train/image/0.npy` (floats in 0..1), `label` (classes 0..12, -1 is none), `depth`
(metres, 0 is none) and `normal`. The same lie below `val`, here the split `test`.
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
from stages.adapters.adapter import Adapter, Checked, Members, OnDisk, Row
from stages.adapters.lists import find_file
from stages.adapters.rooms.matlab import is_hdf5, open_hdf5, small_array
from stages.adapters.rooms.pixel_labels import (
    UNLABELLED,
    check_sizes,
    checked_depth,
    checked_image,
    checked_mask,
    checked_normals,
    dense_members,
)
from stages.io.store.objects import file_sha256

CLASSES = (
    "bed",
    "books",
    "ceiling",
    "chair",
    "floor",
    "furniture",
    "objects",
    "picture",
    "sofa",
    "table",
    "tv",
    "wall",
    "window",
)
"""The 13 classes, 0..12 (Couprie et al., "Indoor Semantic Segmentation using depth information", ICLR 2013)."""

OF_40 = (
    *(12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5),
    *(7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7),
)
"""The class, 1..13, of each of the 40 classes in order (`class13Mapping.mat`)."""

NAMES = 894
MAPPING = "classMapping40.mat"


def class_table(source: Path, classes: int) -> npt.NDArray[np.uint8]:
    """The stored class of each label of the labelled file.

    Args:
        source: the directory with `classMapping40.mat`, whose `mapClass` has the class, 1..40, of each of 894 names.
        classes: 13 or 40.

    Returns:
        (895,): index 0 is no label; 0..classes-1, or `UNLABELLED`.

    Raises:
        ConfigError: the mapping is not there.
        InputError: it is damaged.
    """
    try:
        path = find_file(source, MAPPING)
    except ConfigError as error:
        raise ConfigError(f"{error.problem} (it comes with NYUv2's tools), or leave masks out: --classes 0") from None
    of_names = small_array(path, "mapClass")
    if len(of_names) != NAMES or of_names.min() < 1 or of_names.max() > len(OF_40):
        raise InputError(
            f"{path}: mapClass has {len(of_names)} values in {of_names.min()}..{of_names.max()}; expected {NAMES} in "
            f"1..{len(OF_40)}: fetch it again"
        )
    chosen = of_names if classes == len(OF_40) else np.asarray(OF_40)[of_names - 1]
    return np.concatenate([[UNLABELLED], chosen - 1]).astype(np.uint8)


LABELLED = "nyu_depth_v2_labeled.mat"
SPLITS_FILE = "splits.mat"
ARRAYS = {"train": "trainNdxs", "test": "testNdxs"}
"""Split → array of the numbers, from 1, of its pictures."""


class NYUv2Labelled(OnDisk):
    """Members of a sample: `png`; `mask.png`, 0..12 (or 0..39) and 255; `depth.png`, millimetres, filled in."""

    name: ClassVar[str] = "nyuv2"

    classes: int = 13
    """Classes of the masks of the labelled file: 13, 40, or 0 for no masks."""

    def check(self) -> Checked:
        """Open the files and compare the shapes of the arrays."""
        path = find_file(self.source, LABELLED)
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
        images = self._arrays(find_file(self.source, LABELLED))["images"]
        split_of = self._splits(len(images))[1]
        for number in range(1, len(images) + 1):
            place, split = f"{LABELLED}#{number}", split_of.get(number)
            if split is None:
                yield Skipped(reason="no-split", message=f"{place}: it is in no split of {SPLITS_FILE}; fetch it again")
            else:
                yield Row(split, f"{number:04d}", place, int(np.prod(images.shape[1:])), {})

    def members(self, row: Row) -> Members:
        """One picture with its labels; axes are turned back."""
        arrays, index = self._arrays(self.source / LABELLED), int(row.key) - 1
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
        for split, name in ARRAYS.items():
            for number in small_array(path, name).tolist():
                if not 1 <= number <= count:
                    raise InputError(f"{path}: {name} has {number}, outside 1..{count}; fetch both files again")
                if split_of.setdefault(number, split) != split:
                    raise InputError(f"{path}: {number} is in both {' and '.join(ARRAYS.values())}; fetch it again")
        return path, split_of


@lru_cache(maxsize=2)
def _table(source: Path, classes: int) -> npt.NDArray[np.uint8]:
    return class_table(source, classes)


FOLDERS = {"train": "train", "val": "test", "test": "test"}
"""Directory → split."""

PARTS = ("image", "label", "depth", "normal")
"""Directories of a split."""


class NYUv2Export(OnDisk):
    """Members of a sample: `png`; `mask.png`, 0..12 and 255; `depth.png`, 16 bits, millimetres; `normals.npy`."""

    name: ClassVar[str] = "nyuv2"

    def check(self) -> Checked:
        """Look for the directories."""
        for folder in self._folders():
            missing = [kind for kind in PARTS if not (folder / kind).is_dir()]
            if missing:
                raise ConfigError(f"{folder} has no folder {missing[0]}; unpack the whole export there")
        return Checked({}, sum(len(_numbers(folder)) for folder in self._folders()))

    def rows(self) -> Iterator[Row | Skipped]:
        """The pictures of each split by their numbers."""
        for folder in self._folders():
            for number in _numbers(folder):
                files = [folder / kind / f"{number}.npy" for kind in PARTS]
                missing = [file.relative_to(self.source).as_posix() for file in files if not file.is_file()]
                if missing:
                    yield Skipped(reason="missing-file", message=f"{missing[0]} is not there; unpack the export again")
                    continue
                size = sum(file.stat().st_size for file in files)
                place = files[0].relative_to(self.source).as_posix()
                yield Row(FOLDERS[folder.name], f"{folder.name}-{number:05d}", place, size, {})

    def members(self, row: Row) -> Members:
        """One picture with its labels."""
        image_file = self.source / row.place
        image, label, depth, normal = (_load(image_file.parents[1] / kind / image_file.name) for kind in PARTS)
        image_HWC, mask_HW = checked_image(image), checked_mask(label, len(CLASSES))
        depth_HW, normals_HWC = checked_depth(depth), checked_normals(normal)
        check_sizes({"mask": mask_HW, "depth": depth_HW, "normals": normals_HWC}, image_HWC)
        return dense_members(image_HWC, mask_HW, depth_HW, normals_HWC)

    def _folders(self) -> list[Path]:
        return [self.source / name for name in FOLDERS if (self.source / name / "image").is_dir()]


def _numbers(folder: Path) -> list[int]:
    return sorted({int(path.stem) for kind in PARTS for path in (folder / kind).glob("*.npy") if path.stem.isdecimal()})


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise SampleError(
            "damaged-file", f"{path.parent.name}/{path.name} is no whole npy file ({error}); fetch it again"
        ) from None


class NYUv2(NYUv2Labelled):
    """NYUv2: masks, depths (and normals), from nyu_depth_v2_labeled.mat with splits.mat, or the 288×384 npy export.

    Members of a sample: `png`; `mask.png`; `depth.png`, 16 bits, millimetres; of an export `normals.npy` as well.
    """

    shard_samples: ClassVar[int] = 200

    @classmethod
    def of(cls, **options: Any) -> Adapter:
        """The adapter of the layout that is there."""
        return nyuv2_adapter(**options)


def nyuv2_adapter(source: Path, classes: int = 13) -> Adapter:
    """The adapter of what lies in a directory.

    Args:
        source: the directory.
        classes: of the masks made from the labelled file, 13, 40 or 0 (none); an export has 13.

    Raises:
        ConfigError: neither layout is there, or there are no masks of so many classes.
    """
    if classes not in (0, 13, 40):
        raise ConfigError(f"--classes must be 13, 40, or 0 for no masks; found {classes}")
    if (source / LABELLED).is_file():
        return NYUv2Labelled(source=source, classes=classes)
    if (source / "train" / "image").is_dir():
        return NYUv2Export(source=source)
    raise ConfigError(
        f"{source} has neither {LABELLED} nor train/image/ with npy files; name the folder that holds one of them"
    )
