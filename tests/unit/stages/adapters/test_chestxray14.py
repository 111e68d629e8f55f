"""ChestX-ray14: findings, splits by patient and both editions of the table; rows that cannot be right are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ConfigError, InputError, SampleError
from stages.adapters.medical.chestxray14 import FINDINGS, ChestXray14, findings_of, names_of
from stages.adapters.pictures import Stored
from tests.builders import picture, png
from tests.datasets import chest_tree, edit, image_of, imported, labels_in, same_pixels, samples_in

SMALL = Stored(size=16, gray=True)
SOME = ("No Finding", "Effusion|Mass", "Pleural_Thickening", "", "Hernia|Edema|Atelectasis") * 4


def small(source: Path, **options: object) -> ChestXray14:
    return ChestXray14(source=source, pictures=SMALL, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("edition", [2017, 2020])
def test_every_xray_has_its_findings_as_vector_and_names_in_both_editions(tmp_path: Path, edition: int) -> None:
    summary = imported(small(chest_tree(tmp_path / "raw", SOME, edition=edition)), tmp_path / "out")
    assert {split: count.samples for split, count in summary.splits.items()} == {"test": 4, "train": 16}
    labels = labels_in(tmp_path / "out")
    first = {key: labels[key] for key in sorted(labels)[:5]}
    assert [each["names"] for each in first.values()] == [
        [],
        ["Effusion", "Mass"],
        ["Pleural_Thickening"],
        None,
        ["Atelectasis", "Edema", "Hernia"],
    ]
    for each in labels.values():
        assert (
            each["findings"] == (each["names"] and [int(name in each["names"]) for name in FINDINGS])
            or not each["names"]
        )
    assert labels["00000002_000"]["findings"] == [int(name == "Pleural_Thickening") for name in FINDINGS]
    assert labels["00000002_001"]["findings"] is None
    assert labels["00000001_001"] | {"findings": [], "names": []} == {
        "findings": [], "names": [], "patient": "1", "age": 41, "sex": "F", "view": "PA", "follow_up": "1"
    }  # fmt: skip


def test_the_splits_are_those_of_the_lists_and_share_no_patient(tmp_path: Path) -> None:
    imported(small(chest_tree(tmp_path / "raw", SOME)), tmp_path / "out")
    patients = {
        split: {labels["patient"] for labels in labels_in(tmp_path / "out", f"{split}-*.tar").values()}
        for split in ("train", "test")
    }
    assert patients["test"] == {"5", "10"}
    assert not patients["train"] & patients["test"]


def test_without_lists_a_hash_keeps_each_patient_in_one_split(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", ("Mass", "No Finding") * 30)
    for name in ("train_val_list.txt", "test_list.txt"):
        (source / name).unlink()
    with pytest.raises(ConfigError, match=r"has no train_val_list\.txt.*or split by --split patients"):
        imported(small(source), tmp_path / "out")
    imported(small(source, split="patients"), tmp_path / "out")
    found = {split: labels_in(tmp_path / "out", f"{split}-*.tar") for split in ("train", "test")}
    patients = {split: {labels["patient"] for labels in each.values()} for split, each in found.items()}
    assert len(patients["train"]) + len(patients["test"]) == 30
    assert 2 <= len(patients["test"]) <= 12
    assert len(found["test"]) == 2 * len(patients["test"])


def test_lists_that_part_a_patient_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", SOME)
    edit(source / "train_val_list.txt", "00000002_001.png\n", "")
    with (source / "test_list.txt").open("a") as file:
        file.write("00000002_001.png\n")
    with pytest.raises(
        InputError, match=r"row 5: patient 2 is in both splits \(00000002_000\.png in train, 00000002_001"
    ):
        imported(small(source), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    imported(small(source, split="patients"), tmp_path / "out")


def test_a_file_in_both_lists_is_told(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", SOME)
    with (source / "test_list.txt").open("a") as file:
        file.write("00000002_001.png\n")
    with pytest.raises(InputError, match=r"test_list\.txt: row 5: 00000002_001\.png is in train_val_list\.txt too"):
        imported(small(source), tmp_path / "out")


def test_a_row_that_becomes_no_sample_is_counted_with_its_reason_row_and_value(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", SOME)
    table = source / "Data_Entry_2017.csv"
    edit(table, "00000001_001.png,Effusion|Mass", "00000001_001.png,Effusion|Cardiomegally")
    edit(table, "00000002_000.png,Pleural_Thickening", "00000002_000.png,No Finding|Hernia")
    (source / "images_002" / "images" / "00000002_001.png").unlink()
    edit(source / "train_val_list.txt", "00000003_001.png\n", "00000099_000.png\n")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:7], "00000004_000.png,Mass", *lines[8:]]) + "\n")
    summary = imported(small(source), tmp_path / "out")
    reasons = summary.skipped.reasons
    assert {reason: each.count for reason, each in reasons.items()} == {
        "contradictory-findings": 1,
        "malformed-row": 1,
        "missing-file": 1,
        "no-labels": 2,
        "no-split": 1,
        "unknown-finding": 1,
    }
    (unknown,) = reasons["unknown-finding"].examples
    assert unknown.startswith(
        "Data_Entry_2017.csv row 3 (00000001_001.png): Finding Labels is 'Effusion|Cardiomegally'"
    )
    assert reasons["contradictory-findings"].examples[0].startswith("Data_Entry_2017.csv row 4 (00000002_000.png): ")
    assert "unpack all" in reasons["missing-file"].examples[0]
    assert summary.samples == 20 - 5


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("No Finding", []),
        ("no finding", []),
        ("Mass|Edema", ["Mass", "Edema"]),
        ("Pleural Thickening", ["Pleural_Thickening"]),
    ],
)
def test_findings_are_read_whatever_their_spelling(text: str, names: list[str]) -> None:
    assert names_of(findings_of(text) or []) == names if names else findings_of(text) == [0] * 14


@pytest.mark.parametrize("text", ["Cardiomegally", "Mass;Edema", "Mass|No Finding"])
def test_findings_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SampleError, match="Finding Labels is"):
        findings_of(text)


@pytest.mark.parametrize(
    ("age", "years"), [("58", 58), ("058Y", 58), ("011M", 0), ("021D", 0), ("414", None), ("", None), ("x", None)]
)
def test_ages_are_read_in_years_and_impossible_ones_are_missing(tmp_path: Path, age: str, years: int | None) -> None:
    source = chest_tree(tmp_path / "raw", ["Mass"])
    edit(source / "Data_Entry_2017.csv", ",1,41,M", f",1,{age},M")
    imported(small(source), tmp_path / "out")
    assert labels_in(tmp_path / "out")["00000001_000"]["age"] == years


def test_an_xray_is_stored_gray_at_256_pixels_whatever_channels_its_file_has(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", ["Mass", "Edema"], size=300)
    rgba = picture(9, 300, 300, 4)
    (source / "images_002" / "images" / "00000001_001.png").write_bytes(png(rgba))
    imported(ChestXray14(source=source), tmp_path / "out")
    samples = samples_in(tmp_path / "out")
    gray = Image.open(source / "images_001" / "images" / "00000001_000.png")
    assert same_pixels(samples["00000001_000"]["png"], np.asarray(gray.resize((256, 256), Image.Resampling.BILINEAR)))
    fixed = image_of(samples["00000001_001"]["png"])
    assert (fixed.mode, fixed.size) == ("L", (256, 256))


def test_pictures_in_one_folder_are_found_as_well(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", SOME)
    (source / "images").mkdir()
    for path in source.glob("images_*/images/*.png"):
        path.rename(source / "images" / path.name)
    assert imported(small(source), tmp_path / "out").skipped.total == 0


def test_no_pictures_at_all_is_told_before_anything_is_written(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", ["Mass"])
    (source / "images_001").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"has no images_\*/images/\*\.png or images/\*\.png; unpack"):
        imported(small(source), tmp_path / "out")


def test_a_table_in_utf_16_is_read_and_one_in_latin_1_is_told(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", SOME)
    table = source / "Data_Entry_2017.csv"
    text = table.read_text()
    imported(small(source), tmp_path / "utf-8")
    table.write_bytes(text.encode("utf-16"))
    imported(small(source), tmp_path / "utf-16")
    assert samples_in(tmp_path / "utf-16") == samples_in(tmp_path / "utf-8")
    table.write_bytes(text.replace("Hernia", "Hernie é", 1).encode("latin-1"))
    with pytest.raises(InputError, match=r"Data_Entry_2017\.csv: row 6 is not UTF-8.*save the file as UTF-8"):
        imported(small(source), tmp_path / "out")


def test_a_table_without_a_column_is_told(tmp_path: Path) -> None:
    source = chest_tree(tmp_path / "raw", ["Mass"])
    edit(source / "Data_Entry_2017.csv", "Finding Labels", "Labels")
    with pytest.raises(
        InputError, match=r"row 1 has no column 'Finding Labels'; found Image Index, Labels, Follow-up #"
    ):
        imported(small(source), tmp_path / "out")
