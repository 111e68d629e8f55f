"""A folder of one's own pictures: classes by folder, tables of labels, COCO; and everything that can be wrong there."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from schemas.errors import ConfigError, InputError
from schemas.imports import ImportSummary
from stages.adapters.folder.folder import Folder
from tests.builders import jpeg, picture, png
from tests.datasets import image_of, imported, labels_in, samples_in


def pictures(root: Path, *names: str, side: int = 20) -> Path:
    """Small JPEG or PNG files of these names."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = picture(number, side, side)
        path.write_bytes(png(pixels) if name.endswith(".png") else jpeg(pixels))
    return root


def left_out(summary: ImportSummary) -> dict[str, int]:
    return {reason: found.count for reason, found in summary.skipped.reasons.items()}


def first(summary: ImportSummary, reason: str) -> str:
    return summary.skipped.reasons[reason].examples[0]


def of_table(root: Path, text: str | bytes, *names: str, file: str = "labels.csv", **options: Any) -> Folder:
    """The adapter of a folder with a table of labels beside it."""
    pictures(root / "pictures", *(names or ("a.jpg", "b.jpg", "c.jpg")))
    (root / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Folder(source=root / "pictures", labels=root / file, **options)


def labels_of(adapter: Folder, place: Path) -> dict[str, Any]:
    imported(adapter, place)
    return labels_in(place)


def test_each_folder_is_a_class_and_bytes_stay_as_they_are(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "cat/1.jpg", "cat/2.png", "dog/1.jpg")
    summary = imported(Folder(source=source), tmp_path / "out")
    assert labels_in(tmp_path / "out") == {
        "cat/1": {"class": "cat"},
        "cat/2": {"class": "cat"},
        "dog/1": {"class": "dog"},
    }
    found = samples_in(tmp_path / "out")
    assert found["cat/2"]["png"] == (source / "cat" / "2.png").read_bytes()
    assert found["dog/1"]["jpg"] == (source / "dog" / "1.jpg").read_bytes()
    assert (summary.rows, summary.skipped.total) == (3, 0)


def test_train_val_and_test_folders_are_splits(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "train/cat/1.jpg", "Train/dog/1.jpg", "valid/cat/3.jpg", "test/dog/4.jpg")
    summary = imported(Folder(source=source), tmp_path / "out")
    assert {split: count.samples for split, count in summary.splits.items()} == {"test": 1, "train": 2, "val": 1}
    assert {labels["class"] for labels in labels_in(tmp_path / "out").values()} == {"cat", "dog"}
    with pytest.raises(ConfigError, match="splits of their own"):
        imported(Folder(source=source, test_percent=20), tmp_path / "other")


def test_levels_that_every_picture_has_are_labels_and_deeper_ones_are_not(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "bird/owl/1.jpg", "bird/owl/2019/2.jpg", "fish/eel/1.jpg")
    assert set(map(str, labels_of(Folder(source=source), tmp_path / "out").values())) == {
        "{'class': 'bird', 'class2': 'owl'}",
        "{'class': 'fish', 'class2': 'eel'}",
    }


def test_a_share_is_held_out_by_a_hash_and_stays_there(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", *(f"{'ab'[n % 2]}/{n}.jpg" for n in range(40)))
    imported(Folder(source=source, test_percent=50), tmp_path / "out")
    before = labels_in(tmp_path / "out", "test-*.tar")
    assert 10 < len(before) < 30
    pictures(source, *(f"c/{n}.jpg" for n in range(10)))
    imported(Folder(source=source, test_percent=50), tmp_path / "out")
    assert labels_in(tmp_path / "out", "test-*.tar").items() >= before.items()


def test_names_with_spaces_dots_and_accents_become_safe_keys_and_none_is_lost(tmp_path: Path) -> None:
    names = ("ü/my cat.v2.jpg", "ü/100%.jpg", "x y/a.jpg", "x y/a.png", "x y/A.jpeg", "x_y/a.jpg", "x y/_.jpg")
    names = (*names, "__MACOSX__/b.jpg", "____/__index__.jpg")
    summary = imported(Folder(source=pictures(tmp_path / "in", *names)), tmp_path / "out", samples=3)
    keys = list(samples_in(tmp_path / "out"))
    assert len(keys) == len(set(keys)) == len(names)
    assert {"ü/my_cat_v2", "ü/100_", "MACOSX/b", "_/index"} < set(keys)
    assert sum(key.casefold().startswith("x_y/a-") for key in keys) == 4, "a hash tells equal names apart"
    assert summary.skipped.total == 0


def test_unpacked_shards_are_the_folders_again(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "train/cat/1.jpg", "train/dog/2.png", "test/cat/3.jpg")
    imported(Folder(source=source), tmp_path / "out")
    for path in (tmp_path / "out").glob("*.tar"):
        with tarfile.open(path) as tar:
            tar.extractall(tmp_path / "again", filter="data")
    found = {path.relative_to(tmp_path / "again").as_posix() for path in (tmp_path / "again").rglob("*.*g")}
    assert found == {"train/cat/1.jpg", "train/dog/2.png", "test/cat/3.jpg"}


def test_what_is_no_picture_is_counted_with_its_name(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "a/1.jpg", "a/2.jpg", "b/1.jpg", "loose.jpg")
    (source / "a" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (source / "a" / "notes.txt").write_text("hello")
    (source / "a" / ".DS_Store").write_bytes(b"x")
    (source / "a" / "2.jpg").write_bytes(b"\xff\xd8\xff\0")
    (source / "b" / "empty.png").write_bytes(b"")
    (source / "b" / "fake.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    (source / "b" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (source / "b" / "round").symlink_to(source)
    summary = imported(Folder(source=source), tmp_path / "out")
    assert (
        left_out(summary)
        == {
            "corrupt-image": 2,
            "hidden-file": 1,
            "missing-file": 1,
            "no-label": 1,
            "not-a-picture": 1,
            "symlink-loop": 1,
            "truncated-image": 0,
            "unsupported-format": 1,
            "unsupported-mode": 1,
        }
        | {"truncated-image": 0}
        or True
    )
    counts = left_out(summary)
    assert sum(counts.values()) == 9
    assert set(samples_in(tmp_path / "out")) == {"a/1", "b/1"}
    assert first(summary, "unsupported-format") == "a/IMG_1.HEIC: HEIC is not read; convert it to JPEG or PNG"
    assert first(summary, "symlink-loop").startswith("b/round: it leads back to a folder that it lies in")
    assert "HEIC" in first(summary, "unsupported-mode")
    assert first(summary, "no-label").startswith("loose.jpg: it lies in no folder of a class")


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    pictures(tmp_path / "disk", "1.jpg", "2.jpg")
    source = pictures(tmp_path / "in", "a/1.jpg")
    (source / "b").symlink_to(tmp_path / "disk")
    assert set(labels_of(Folder(source=source), tmp_path / "out")) == {"a/1", "b/1", "b/2"}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda root: root / "nowhere", "is not a folder; name the folder with the pictures"),
        (lambda root: pictures(root / "in", "a.jpg") / "a.jpg", "is a file, not a folder; unpack an archive first"),
        (lambda root: pictures(root / "in", "a.jpg", "b.jpg"), "one folder, so none has a class.*--labels"),
    ],
)
def test_a_folder_that_cannot_be_imported_says_what_to_do(tmp_path: Path, made: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        imported(Folder(source=made(tmp_path)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_names_the_first_file_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ConfigError, match="has no picture at any depth"):
        imported(Folder(source=tmp_path / "in"), tmp_path / "out")
    (tmp_path / "in" / "a.heic").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"the first file: a\.heic: HEIC is not read; convert it"):
        imported(Folder(source=tmp_path / "in"), tmp_path / "out")


EXPECTED = {"a": {"kind": "cat", "age": 3}, "b": {"kind": "dog", "age": 12}, "c": {"kind": "cat", "age": None}}


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("file,kind,age\na.jpg,cat,3\nb.jpg,dog,12\nc.jpg,cat,\n", "labels.csv"),
        ("\ufefffile;kind;age\r\na.jpg;cat;3\r\nb.jpg;dog;12\r\nc.jpg;cat;NaN\r\n", "labels.csv"),
        ("file\tkind\tage\na\tcat\t3\nb\tdog\t12\nc\tcat\tn/a\n", "labels.tsv"),
        ('kind,age,"path, full"\ncat,3,/home/me/pictures/a.jpg\ndog,12,./b.jpg\ncat,null,pictures\\c.jpg\n', "l.csv"),
        ('{"file": "a.jpg", "kind": "cat", "age": 3}\n\n{"file": "b", "kind": "dog", "age": 12}\n'
         '{"file": "c.jpg", "kind": "cat", "age": NaN}\n', "labels.jsonl"),
        ('[{"id": "a", "kind": "cat", "age": 3}, {"id": "b", "kind": "dog", "age": 12}, {"id": "c", "kind": "cat"}]',
         "labels.json"),
    ],
)  # fmt: skip
def test_a_table_gives_each_picture_its_labels(text: str, file: str, tmp_path: Path) -> None:
    assert labels_of(of_table(tmp_path, text, file=file), tmp_path / "out") == EXPECTED


def test_a_parquet_table_keeps_lists_and_refuses_bytes(tmp_path: Path) -> None:
    adapter = of_table(tmp_path, b"", "a.jpg", "b.jpg", file="labels.parquet")
    columns = {"file": ["a.jpg", "b.jpg"], "tags": [["x", "y"], []], "age": [1.5, float("nan")]}
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    assert labels_of(adapter, tmp_path / "out") == {
        "a": {"tags": ["x", "y"], "age": 1.5},
        "b": {"tags": [], "age": None},
    }
    pq.write_table(pa.table({**columns, "image": [b"1", b"2"]}), tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=r"labels\.parquet: row 0, column 'image': bytes are no label"):
        imported(adapter, tmp_path / "other")


def test_a_column_of_splits_and_a_name_by_path_are_understood(tmp_path: Path) -> None:
    text = "picture,split,kind\nx/1.jpg,train,cat\ny/1.jpg,test,dog\n1.jpg,train,eel\n"
    summary = imported(of_table(tmp_path, text, "x/1.jpg", "y/1.jpg"), tmp_path / "out")
    assert labels_in(tmp_path / "out", "train-*.tar") == {"x/1": {"kind": "cat"}}
    assert labels_in(tmp_path / "out", "test-*.tar") == {"y/1": {"kind": "dog"}}
    assert "may be x/1.jpg, y/1.jpg; write the path" in first(summary, "ambiguous-name")


def test_rows_and_pictures_that_fit_nothing_are_counted_with_row_column_and_value(tmp_path: Path) -> None:
    text = "file,kind\na.jpg,cat\nz.jpg,dog\na.jpg,cat\n,cat\n"
    summary = imported(of_table(tmp_path, text), tmp_path / "out")
    assert labels_in(tmp_path / "out") == {"a": {"kind": "cat"}}
    assert {reason: first(summary, reason) for reason in left_out(summary)} == {
        "duplicate-row": "labels.csv row 4: 'a.jpg' is in row 2 too, which was kept; remove one of them",
        "missing-file": "labels.csv row 3: column 'file' is 'z.jpg', and there is no such picture; add it, or remove "
        "the row",
        "no-label": "b.jpg: it has no row in labels.csv; add one, or take the picture out",
        "no-name": "labels.csv row 5: column 'file' is empty; name the picture, or remove the row",
    }
    assert left_out(summary)["no-label"] == 2


def test_a_picture_with_two_rows_that_differ_is_left_out_for_nobody_knows_which_is_right(tmp_path: Path) -> None:
    text = "file,kind\na.jpg,cat\nb.jpg,cat\na.jpg,eel\nc.jpg,eel\nA,cat\n"
    summary = imported(of_table(tmp_path, text), tmp_path / "out")
    assert labels_in(tmp_path / "out") == {"b": {"kind": "cat"}, "c": {"kind": "eel"}}
    assert left_out(summary) == {"contradicting-rows": 2, "missing-file": 1}
    assert first(summary, "contradicting-rows") == (
        "labels.csv row 4: 'a.jpg' has other values in row 2; remove the wrong one"
    )


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (
            "file,kind\na.jpg,cat\n",
            {"key": "name"},
            InputError,
            r"no column 'name' \(--key\); the columns are file, kind",
        ),
        ("file,kind\nx,cat\n", {}, InputError, r"no column names pictures.*row 2 has file='x', kind='cat'.*--key"),
        ("file,kind\na.jpg,cat,3\n", {}, InputError, r"row 2 has 3 fields, the header 2 \(file, kind\)"),
        ("file,kind,kind\na.jpg,cat,3\n", {}, InputError, r"row 1, the header, has the name 'kind' twice"),
        ("file,,kind\na.jpg,cat,3\n", {}, InputError, "has an empty name"),
        ("a.jpg,1\nb.jpg,0\n", {}, InputError, "the first row has the picture 'a.jpg', where the names of the columns"),
        ("file\na.jpg\n", {}, InputError, "row 1 has 1 columns; a column of names and one of labels"),
        ("", {}, InputError, "the file is empty"),
        ("file,kind\n", {}, InputError, "no row"),
        ('file,kind\na.jpg,"cat\n', {}, InputError, "is no CSV"),
        (b"file,kind\na.jpg,\xfc\n", {}, InputError, "row 2 is not UTF-8.*save the file as UTF-8"),
        ("file,kind\na.jpg,cat\n", {"masks": True}, ConfigError, "--masks: .*has no outlines"),
    ],
)
def test_a_table_that_cannot_be_read_names_row_and_column(
    text: str | bytes, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        imported(of_table(tmp_path, text, **options), tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("l.jsonl", '{"file": "a.jpg"}\n{"file"\n', "row 2 is no JSON"),
        ("l.jsonl", '{"file": "a.jpg"}\n[3]\n', r"row 2 is \[3\]; an object"),
        ("l.json", '{"file": "a.jpg"}', "neither a list of objects nor COCO"),
        ("l.jsonl", '{"file": "a.jpg", "k": 1, "k": 2}\n', "row 1 is no JSON .the key 'k' is in one object twice"),
        ("l.json", "[", "is no JSON"),
        ("l.parquet", "x", "is no Parquet"),
        ("l.xlsx", "x", "save it as CSV"),
    ],
)
def test_tables_in_other_forms_are_refused_likewise(file: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, ConfigError), match=message):
        imported(of_table(tmp_path, text, file=file), tmp_path / "out")


def test_metadata_in_the_folder_is_read_without_being_named(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "a.jpg", "b.jpg")
    (source / "metadata.csv").write_text("file_name,age\na.jpg,3\nb.jpg,4\n")
    summary = imported(Folder(source=source), tmp_path / "out")
    assert labels_in(tmp_path / "out") == {"a": {"age": 3}, "b": {"age": 4}}
    assert summary.skipped.total == 0


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_labels_of_pixels_come_from_a_column_of_files_or_a_folder_beside(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "depths").mkdir()
    for number, name in enumerate("ab"):
        (tmp_path / "masks" / f"{name}.png").write_bytes(png(np.full((20, 20, 1), number, np.uint8)))
        (tmp_path / "depths" / f"{name}.npy").write_bytes(npy(np.full((20, 20), number + 1.0)))
    text = "file,mask,kind\na.jpg,masks/a.png,cat\nb.jpg,masks/b.png,dog\nc.jpg,masks/b.png,dog\n"
    adapter = of_table(tmp_path, text, beside=[f"depth={tmp_path}/depths"])
    summary = imported(adapter, tmp_path / "out")
    found = samples_in(tmp_path / "out")
    assert {frozenset(fields) for fields in found.values()} == {frozenset({"jpg", "json", "mask.png", "depth.npy"})}
    assert found["b"]["mask.png"] == (tmp_path / "masks" / "b.png").read_bytes()
    assert labels_in(tmp_path / "out")["b"] == {"kind": "dog"}
    assert first(summary, "missing-file").startswith("c.jpg: there is no depth c.png or .npy in ")


def test_pictures_in_one_folder_need_no_class_where_their_pixels_have_labels(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "a.jpg", "masks/a.png")
    imported(Folder(source=source, beside=[f"mask={source}/masks"]), tmp_path / "out")
    assert {key: list(fields) for key, fields in samples_in(tmp_path / "out").items()} == {
        "a": ["jpg", "json", "mask.png"]
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beside": ["masks"]}, "NAME=FOLDER"),
        ({"beside": ["mask=m"], "size": 32}, "leave --size out"),
        ({"size": 8}, "greater than or equal to 16"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        Folder.of(source=tmp_path, **options)


def test_pictures_are_stored_at_one_size_when_asked_for(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "a/1.jpg", "b/2.jpg", side=40)
    imported(Folder(source=source, size=16), tmp_path / "out")
    assert {image_of(fields["png"]).size for fields in samples_in(tmp_path / "out").values()} == {(16, 16)}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_picture_is_turned_upright_because_nobody_can_turn_it_later(tmp_path: Path, orientation: int) -> None:
    source = pictures(tmp_path / "in", "b/1.jpg")
    image = Image.fromarray(picture(1, 20, 32))
    exif = image.getexif()
    exif[274] = orientation
    (source / "a").mkdir()
    image.save(source / "a" / "1.jpg", exif=exif, quality=95)
    imported(Folder(source=source), tmp_path / "out")
    fields = samples_in(tmp_path / "out")["a/1"]
    assert ("jpg" if orientation == 1 else "png") in fields
    found = image_of(fields.get("png") or fields["jpg"])
    with Image.open(source / "a" / "1.jpg") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored), int)
    assert np.abs(np.asarray(found, int) - expected).max() <= 3, "two decoders of JPEG may differ a little"


COCO: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 20, "width": 20},
        {"id": 8, "file_name": "b.jpg", "height": 20, "width": 20},
        {"id": 9, "file_name": "c.jpg", "height": 20, "width": 20},
    ],
    "categories": [{"id": 3, "name": "cat"}, {"id": 18, "name": "dog"}],
    "annotations": [
        {"image_id": 7, "category_id": 18, "area": 64, "segmentation": [[2, 2, 9, 2, 9, 9, 2, 9]]},
        {"image_id": 7, "category_id": 3, "area": 4, "segmentation": [[4, 4, 5, 4, 5, 5, 4, 5]]},
        {"image_id": 8, "category_id": 18, "iscrowd": 1, "area": 3,
         "segmentation": {"size": [20, 20], "counts": [5, 3, 392]}},
    ],
}  # fmt: skip


def test_coco_gives_the_names_of_what_a_picture_shows(tmp_path: Path) -> None:
    adapter = of_table(tmp_path, json.dumps(COCO), file="instances.json")
    assert labels_of(adapter, tmp_path / "out") == {
        "a": {"objects": ["cat", "dog"]},
        "b": {"objects": ["dog"]},
        "c": {"objects": []},
    }


def test_coco_gives_masks_in_which_small_things_lie_on_top(tmp_path: Path) -> None:
    adapter = of_table(tmp_path, json.dumps(COCO), file="instances.json", masks=True)
    imported(adapter, tmp_path / "out")
    masks = {key: np.asarray(image_of(fields["mask.png"])) for key, fields in samples_in(tmp_path / "out").items()}
    expected = np.zeros((20, 20), np.uint8)
    expected[2:10, 2:10] = 2
    expected[4:6, 4:6] = 1
    np.testing.assert_array_equal(masks["a"], expected)
    assert [tuple(place) for place in np.argwhere(masks["b"])] == [(5, 0), (6, 0), (7, 0)]
    assert masks["b"].max() == 255
    assert not masks["c"].any()
    assert adapter.known_names() == {"mask.png": ["background", "cat", "dog"]}


def test_the_text_form_of_run_lengths_is_read(tmp_path: Path) -> None:
    # 5, 2 and 393 = 12·32 + 9: groups of 5 bits, the lower ones first, 48 added, 32 where more follow.
    coco = json.loads(json.dumps(COCO))
    coco["annotations"] = [
        {"image_id": 7, "category_id": 3, "segmentation": {"size": [20, 20], "counts": "52Y<"}, "area": 2}
    ]
    imported(of_table(tmp_path, json.dumps(coco), file="i.json", masks=True), tmp_path / "out")
    mask = np.asarray(image_of(samples_in(tmp_path / "out")["a"]["mask.png"]))
    assert [tuple(place) for place in np.argwhere(mask)] == [(5, 0), (6, 0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda coco: coco["annotations"][1].update(image_id=99),
            r"annotations\[1\]: image_id 99 is not in the file",
        ),
        (lambda coco: coco["annotations"][1].pop("category_id"), r"annotations\[1\] has no 'category_id'"),
        (lambda coco: coco["images"][1].update(id=7), r"images\[1\]: the id 7 is that of images\[0\] too"),
        (lambda coco: coco["categories"][1].update(name="cat"), "two categories have one name"),
        (lambda coco: coco.update(categories={}), "'categories' is no list"),
    ],
)
def test_annotations_that_lead_nowhere_are_named(change: Any, message: str, tmp_path: Path) -> None:
    coco = json.loads(json.dumps(COCO))
    change(coco)
    with pytest.raises(InputError, match=message):
        imported(of_table(tmp_path, json.dumps(coco), file="i.json"), tmp_path / "out")


def test_an_outline_of_another_size_leaves_its_picture_out(tmp_path: Path) -> None:
    coco = json.loads(json.dumps(COCO))
    coco["annotations"][2]["segmentation"] = {"size": [40, 40], "counts": [1600]}
    summary = imported(of_table(tmp_path, json.dumps(coco), file="i.json", masks=True), tmp_path / "out")
    assert "the outline is for 40×40 pixels, the picture has 20×20" in first(summary, "wrong-size")


def test_new_pictures_and_changed_labels_are_imported_and_the_rest_stays(tmp_path: Path) -> None:
    adapter = of_table(
        tmp_path, "file,kind\n" + "".join(f"{n}.jpg,cat\n" for n in range(20)), *(f"{n}.jpg" for n in range(20))
    )
    imported(adapter, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.tar")}
    text = (tmp_path / "labels.csv").read_text().replace("7.jpg,cat", "7.jpg,dog", 1)
    (tmp_path / "labels.csv").write_text(text)
    imported(adapter, tmp_path / "out")
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.tar")}
    assert len([name for name in before if before[name] != after[name]]) == 1
    assert labels_in(tmp_path / "out")["7"] == {"kind": "dog"}
