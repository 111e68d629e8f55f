"""The benchmark on photographs: what it says of a folder that lacks some of them."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.photographs import faces, photographed_rooms, turned_objects
from schemas.errors import ConfigError


def half_a_tar(path: Path, size: int) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "celeba/img_align_celeba/000001.jpg")
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("size", [0, 300, 700, 10_240])
def test_a_tar_that_is_only_half_there_is_named(tmp_path: Path, size: int):
    half_a_tar(tmp_path / "celeba.tar", size)
    with pytest.raises(ConfigError, match=r"celeba\.tar: "):
        faces(tmp_path, 32)


@pytest.mark.parametrize("read", [lambda folder: faces(folder, 32), turned_objects, photographed_rooms])
def test_a_folder_without_the_photographs_is_named(tmp_path: Path, read: Callable[[Path], object]):
    with pytest.raises(ConfigError, match=str(tmp_path)):
        read(tmp_path)
