"""NYUv2's classes: of the 894 names of the labelled file, the usual 40, and the usual 13."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas.errors import ConfigError, InputError
from stages.datasets.rooms.dense import UNLABELLED
from stages.datasets.rooms.matlab import small_array
from stages.datasets.tables.lists import find_file

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
