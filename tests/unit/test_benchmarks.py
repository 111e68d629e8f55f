"""The benchmark on photographs: what it says of a folder that lacks some of them."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench
from benchmarks.cells import AT_HALF, FIRST_ONLY, MADE
from benchmarks.photographs import faces, photographed_rooms, turned_objects
from benchmarks.sections import REAL, SECTIONS
from benchmarks.strength import DATASETS
from schemas.errors import ConfigError
from schemas.training import Train
from tests.builders import jpeg, picture, png


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


def packed(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


LISTS = {
    "list_attr_celeba.txt": b"2\nMale Smiling\n1.jpg 1 -1\n2.jpg -1 1\n",
    "list_eval_partition.txt": b"1.jpg 0\n2.jpg 2\n",
}
FACES = {"1.jpg": jpeg(picture(0, 218, 178)), "2.jpg": jpeg(picture(0, 218, 178))}


@pytest.mark.parametrize(
    ("instead", "named"),
    [
        ({"2.jpg": None}, r"1 pictures are not there or not in both lists \(2\.jpg first\)"),
        ({"3.jpg": b""}, r"3\.jpg first"),
        ({"2.jpg": b"no picture"}, r"2\.jpg cannot be decoded"),
        ({"list_eval_partition.txt": b"1.jpg 0\n2.jpg 0\n"}, "no picture belongs to the test split"),
    ],
)
def test_faces_of_which_some_are_not_there_are_named(tmp_path: Path, instead: dict[str, bytes | None], named: str):
    members = {name: data for name, data in {**LISTS, **FACES, **instead}.items() if data is not None}
    packed(tmp_path / "celeba.tar", members)
    with pytest.raises(ConfigError, match=rf"celeba\.tar: .*{named}"):
        faces(tmp_path, 32)


def test_an_attribute_that_the_list_lacks_is_named(tmp_path: Path):
    packed(tmp_path / "celeba.tar", {**LISTS, **FACES})
    whole, fewer = faces(tmp_path, 32), faces(tmp_path, 32, most=(1, 1))
    assert len(whole.train) == len(fewer.train) == 1
    assert whole.name != fewer.name, "cells of one must not be taken for the other's"
    with pytest.raises(ConfigError, match="no column Bald"):
        faces(tmp_path, 32, ("Bald",))


@pytest.mark.parametrize(("side", "named"), [(None, r"0\: depth\.png is missing"), (4, r"0\.depth\.png: .*8")])
def test_a_room_whose_depth_is_missing_or_of_another_size_is_named(tmp_path: Path, side: int | None, named: str):
    members = {"0.png": png(picture(0, 8, 8)), "0.mask.png": png(np.zeros((8, 8, 1), np.uint8))}
    if side is not None:
        members["0.depth.png"] = png(np.full((side, side, 1), 1000, np.uint16))
    packed(tmp_path / "nyuv2-train-00000.tar", members)
    with pytest.raises(ConfigError, match=named):
        photographed_rooms(tmp_path)


def test_the_benchmark_of_speed_runs_and_writes_its_ratios(tmp_path: Path):
    bench.main(["--rounds", "1", "--images", "3", "--no-starts", "--out", str(tmp_path / "build/bench.json")])
    found = json.loads((tmp_path / "build/bench.json").read_text())
    assert set(found["protect_ratio"]) == {"128", "512"}
    assert all(ratio > 0 for ratio in found["protect_ratio"].values())
    assert len({(row["name"], row["side"]) for row in found["rows"]}) == len(found["rows"])


def test_every_row_and_dataset_of_a_section_is_known_and_every_row_can_be_trained():
    rows = set()
    for section in (*SECTIONS.values(), *REAL.values()):
        assert section.dataset in DATASETS
        rows |= {row.removesuffix(FIRST_ONLY).removesuffix(AT_HALF) for row in section.rows}
    assert rows - {"clean", "noise"} <= MADE.keys()
    assert all(Train.model_validate(settings) for settings in MADE.values())
    assert Train.model_validate(MADE["withstand gray"]).robust == ["gray"]
