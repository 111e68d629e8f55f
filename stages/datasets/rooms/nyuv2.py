"""NYUv2 in either of the layouts in which people have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from schemas.errors import ConfigError
from stages.datasets.adapter import Adapter
from stages.datasets.rooms.nyuv2_export import NYUv2Export
from stages.datasets.rooms.nyuv2_labelled import FILE, NYUv2Labelled


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
    if (source / FILE).is_file():
        return NYUv2Labelled(source=source, classes=classes)
    if (source / "train" / "image").is_dir():
        return NYUv2Export(source=source)
    raise ConfigError(
        f"{source} has neither {FILE} nor train/image/ with npy files; name the folder that holds one of them"
    )
