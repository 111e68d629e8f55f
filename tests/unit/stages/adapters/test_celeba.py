"""CelebA: pictures, attributes and splits of both kinds of lists; what is wrong with them is named and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ConfigError, InputError
from stages.adapters.faces.celeba import CelebA
from stages.adapters.pictures import Stored
from tests.datasets import (
    ATTRIBUTES,
    attributes_of,
    celeba_tree,
    edit,
    image_of,
    imported,
    labels_in,
    same_pixels,
    samples_in,
)


@pytest.mark.parametrize("csv", [False, True], ids=["txt", "csv"])
def test_every_picture_is_in_its_split_with_its_attributes(tmp_path: Path, csv: bool) -> None:
    summary = imported(CelebA(source=celeba_tree(tmp_path / "raw", 12, csv=csv)), tmp_path / "out")
    assert {split: count.samples for split, count in summary.splits.items()} == {"test": 1, "train": 10, "val": 1}
    assert (summary.rows, summary.skipped.total, summary.complete) == (12, 0, True)
    assert list(labels_in(tmp_path / "out", "train-*.tar")) == [f"{n:06d}" for n in [*range(1, 9), 11, 12]]
    assert list(labels_in(tmp_path / "out", "val-*.tar")) == ["000009"]
    for key, labels in labels_in(tmp_path / "out").items():
        values = attributes_of(int(key))
        assert labels == {name: int(value == 1) for name, value in zip(ATTRIBUTES, values, strict=True)}


def test_text_and_csv_lists_give_the_same_samples(tmp_path: Path) -> None:
    for name, csv in (("txt", False), ("csv", True)):
        imported(CelebA(source=celeba_tree(tmp_path / name, csv=csv)), tmp_path / f"{name}-out")
    assert samples_in(tmp_path / "txt-out") == samples_in(tmp_path / "csv-out")


def test_a_picture_is_the_centre_crop_of_140_pixels_resized_to_70(tmp_path: Path) -> None:
    source = celeba_tree(tmp_path / "raw", 1)
    imported(CelebA(source=source), tmp_path / "out")
    whole = Image.open(source / "img_align_celeba" / "000001.jpg")
    left, top = (178 - 140) // 2, (218 - 140) // 2
    crop = whole.crop((left, top, left + 140, top + 140)).resize((70, 70), Image.Resampling.BILINEAR)
    (fields,) = samples_in(tmp_path / "out").values()
    assert list(fields) == ["png", "json"]
    assert same_pixels(fields["png"], np.asarray(crop))


def test_original_bytes_are_kept_on_demand(tmp_path: Path) -> None:
    source = celeba_tree(tmp_path / "raw", 3)
    imported(CelebA(source=source, pictures=Stored(original=True, size=70)), tmp_path / "out")
    for key, fields in samples_in(tmp_path / "out").items():
        assert list(fields) == ["jpg", "json"]
        assert fields["jpg"] == (source / "img_align_celeba" / f"{key}.jpg").read_bytes()


def test_the_folders_of_the_official_download_and_the_doubled_one_of_an_archive_are_found(tmp_path: Path) -> None:
    plain, official = celeba_tree(tmp_path / "plain", 3), celeba_tree(tmp_path / "official", 3)
    for folder, name in (
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
        ("Img", "img_align_celeba"),
    ):
        (official / folder).mkdir()
        (official / name).rename(official / folder / name)
    doubled = celeba_tree(tmp_path / "doubled", 3)
    (doubled / "img_align_celeba").rename(doubled / "inner")
    (doubled / "img_align_celeba").mkdir()
    (doubled / "inner").rename(doubled / "img_align_celeba" / "img_align_celeba")
    for source in (plain, official, doubled):
        imported(CelebA(source=source), tmp_path / f"{source.name}-out")
    expected = samples_in(tmp_path / "plain-out")
    assert samples_in(tmp_path / "official-out") == samples_in(tmp_path / "doubled-out") == expected


def test_a_row_that_becomes_no_sample_is_counted_with_its_reason_row_and_value(tmp_path: Path) -> None:
    source = celeba_tree(tmp_path / "raw", 12)
    (source / "img_align_celeba" / "000003.jpg").unlink()
    (source / "img_align_celeba" / "000004.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (source / "img_align_celeba" / "000005.jpg").write_bytes(
        (source / "img_align_celeba" / "000006.jpg").read_bytes()[:-900]
    )
    edit(source / "list_attr_celeba.txt", "000007.jpg   1  1  1", "000007.jpg   1  0  1")
    edit(source / "list_attr_celeba.txt", "000008.jpg  -1 -1 -1", "000008.jpg  -1 -1")
    edit(source / "list_eval_partition.txt", "000002.jpg 0", "000002.jpg three")
    summary = imported(CelebA(source=source), tmp_path / "out")
    assert list(labels_in(tmp_path / "out", "train-*.tar")) == ["000001", "000006", "000011", "000012"]
    reasons = summary.skipped.reasons
    assert {reason: each.count for reason, each in reasons.items()} == {
        "corrupt-image": 1,
        "malformed-row": 3,
        "missing-file": 1,
        "no-attributes": 2,
        "no-split": 1,
        "truncated-image": 1,
    }
    assert reasons["missing-file"].examples[0] == (
        "list_attr_celeba.txt row 5 (000003.jpg): img_align_celeba/000003.jpg is not there; fetch the pictures again"
    )
    assert reasons["malformed-row"].examples[0].startswith("list_eval_partition.txt row 2: '000002.jpg three'")
    assert "row 9 (000007.jpg): Male is '0', expected -1 or 1" in reasons["malformed-row"].examples[1]
    assert "row 10 (000008.jpg): 2 values for 3 attributes" in reasons["malformed-row"].examples[2]
    assert reasons["corrupt-image"].examples[0].startswith("img_align_celeba/000004.jpg: ")
    assert summary.rows == 6 + summary.skipped.total


@pytest.mark.parametrize("stated", ["11", "9", "many"])
def test_a_count_line_that_lies_is_told_before_anything_is_written(tmp_path: Path, stated: str) -> None:
    source = celeba_tree(tmp_path / "raw", 10)
    text = (source / "list_attr_celeba.txt").read_text()
    (source / "list_attr_celeba.txt").write_text(f"{stated}\n" + text.partition("\n")[2])
    with pytest.raises(
        InputError, match=rf"list_attr_celeba.txt: row 1 says '{stated}' pictures, but 10 rows.*correct"
    ):
        imported(CelebA(source=source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_attribute_that_stands_twice_in_the_header_is_told(tmp_path: Path) -> None:
    source = celeba_tree(tmp_path / "raw", 2)
    edit(source / "list_attr_celeba.txt", " Male ", " Smiling ")
    with pytest.raises(InputError, match=r"the header names 3 attributes; each once"):
        imported(CelebA(source=source), tmp_path / "out")


@pytest.mark.parametrize("name", ["img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    source = celeba_tree(tmp_path / "raw", 2)
    (source / name).rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=rf"raw has no .*{name}"):
        imported(CelebA(source=source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_crop_that_does_not_fit_is_counted_and_an_import_of_nothing_fails(tmp_path: Path) -> None:
    source = celeba_tree(tmp_path / "raw", 2, height=100, width=90)
    with pytest.raises(InputError, match=r"none of the 2 rows.*90×100 pixels, the crop takes 140×140"):
        imported(CelebA(source=source), tmp_path / "out")
    small = CelebA(source=source, pictures=Stored(size=16, crop=64))
    imported(small, tmp_path / "small")
    assert {image_of(fields["png"]).size for fields in samples_in(tmp_path / "small").values()} == {(16, 16)}
