"""UTKFace: labels from file names, whatever their ending; names that lack a part are counted; a split that stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ConfigError
from stages.adapters.faces.utkface import UTKFace, age_group
from stages.adapters.pictures import Stored
from tests.datasets import image_of, imported, labels_in, same_pixels, samples_in, utkface_tree

DATE = "20170116184732662"


def dated(number: int, age: int = 30) -> str:
    return f"{age}_{number % 2}_{number % 5}_{20170116184732000 + number}"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (f"26_0_1_{DATE}.jpg.chip.jpg", {"age": 26, "age_group": 3, "gender": 0, "race": 1}),
        (f"1_1_4_{DATE}.jpg", {"age": 1, "age_group": 0, "gender": 1, "race": 4}),
        (f"116_1_2_{DATE}.JPG", {"age": 116, "age_group": 8, "gender": 1, "race": 2}),
        (f"24_0_1_{DATE} .jpg.chip.jpg", {"age": 24, "age_group": 3, "gender": 0, "race": 1}),
        (f"55_0_0_{DATE}jpg.chip.jpg", {"age": 55, "age_group": 6, "gender": 0, "race": 0}),
        (f"44_1_4_{DATE}.pg.chip.jpg", {"age": 44, "age_group": 5, "gender": 1, "race": 4}),
    ],
)
def test_a_name_gives_the_labels_and_the_key_however_it_ends(tmp_path: Path, name: str, labels: dict[str, int]) -> None:
    summary = imported(UTKFace(source=utkface_tree(tmp_path / "raw", [name])), tmp_path / "out")
    assert summary.skipped.total == 0
    assert labels_in(tmp_path / "out") == {"_".join(name.split("_")[:3]) + f"_{DATE}": labels}


@pytest.mark.parametrize(
    "name",
    [
        "61_1_20170109142408075.jpg",
        "61_1_20170109142408075.jpg.chip.jpg",
        "39_1_20170116174525125.jpg.chip.jpg",
        f"26_0_5_{DATE}.jpg",
        f"26_2_1_{DATE}.jpg",
        f"126_0_1_{DATE}.jpg",
        "26_0_1_.jpg",
        "portrait.jpg",
        f"26_0_1_{DATE}.txt",
    ],
)
def test_a_name_that_lacks_a_part_is_left_out_and_named(tmp_path: Path, name: str) -> None:
    source = utkface_tree(tmp_path / "raw", [f"26_0_1_{DATE}.jpg", f"more/{name}"])
    summary = imported(UTKFace(source=source), tmp_path / "out")
    assert (summary.samples, summary.skipped.reasons["malformed-name"].count) == (1, 1)
    assert summary.skipped.reasons["malformed-name"].examples[0].startswith(f"more/{name}: the name is not age_gender")


def test_the_groups_of_age_are_those_of_the_paper() -> None:
    ends = [max(age for age in range(117) if age_group(age) == group) for group in range(9)]
    assert ends == [2, 9, 19, 29, 39, 49, 59, 69, 116]


def test_a_face_that_is_there_twice_is_taken_once_and_aligned(tmp_path: Path) -> None:
    names = [
        f"part1/26_0_1_{DATE}.jpg",
        f"UTKFace/26_0_1_{DATE}.jpg.chip.jpg",
        f"crop_part1/26_0_1_{DATE}.jpg.chip.jpg",
    ]
    source = utkface_tree(tmp_path / "raw", names)
    stored = Stored(original=True, size=140)
    summary = imported(UTKFace(source=source, pictures=stored), tmp_path / "out")
    assert samples_in(tmp_path / "out")[f"26_0_1_{DATE}"]["jpg"] == (source / names[1]).read_bytes()
    assert summary.skipped.reasons["duplicate-key"].count == 2
    assert f"part1/26_0_1_{DATE}.jpg: the key" in " ".join(summary.skipped.reasons["duplicate-key"].examples)


def test_a_face_is_the_largest_centred_square_resized_to_140(tmp_path: Path) -> None:
    source = utkface_tree(tmp_path / "raw", [f"26_0_1_{DATE}.jpg"], height=300, width=200)
    imported(UTKFace(source=source), tmp_path / "out")
    (fields,) = samples_in(tmp_path / "out").values()
    whole = Image.open(source / f"26_0_1_{DATE}.jpg")
    expected = whole.crop((0, 50, 200, 250)).resize((140, 140), Image.Resampling.BILINEAR)
    assert same_pixels(fields["png"], np.asarray(expected))
    assert image_of(fields["png"]).mode == "RGB"


def test_a_face_stays_in_its_split_whatever_is_added(tmp_path: Path) -> None:
    def splits(count: int) -> dict[str, set[str]]:
        source = utkface_tree(tmp_path / f"raw{count}", [f"{dated(n)}.jpg" for n in range(count)], height=16, width=16)
        imported(UTKFace(source=source, pictures=Stored(size=16)), tmp_path / f"out{count}")
        return {split: set(labels_in(tmp_path / f"out{count}", f"{split}-*.tar")) for split in ("train", "test")}

    few, many = splits(60), splits(120)
    assert few["train"] < many["train"]
    assert few["test"] < many["test"]
    assert 10 <= len(many["test"]) <= 40, "20 % of 120"
    assert not many["train"] & many["test"]


def test_a_folder_without_faces_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match=r"holds no \.jpg at any depth; name the folder"):
        imported(UTKFace(source=tmp_path), tmp_path / "out")
