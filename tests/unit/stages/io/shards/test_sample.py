"""Samples: the image is chosen by its exact field, originals never slip through, and labels are found or named."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from schemas.dataset import Dataset
from schemas.errors import InputError, RefusedInputError, SampleError
from schemas.tasks import MISSING, Task
from stages.io.shards.layout import image_member, published_members
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Member, Sample, unsafe_name
from stages.io.shards.tar import TarWriter
from stages.tasks.kinds import kinds_of
from stages.tasks.labels import known_fields, labels_of

DATASET = Dataset(shards="x")


def picture(kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(target, kind)
    return target.getvalue()


def sample(**members: bytes) -> Sample:
    return Sample("d/k", tuple(Member(field.replace("_", "."), data) for field, data in members.items()))


def label(data: bytes, field: str = "json.shape", classes: int | list[str] = 5, member: str = "json") -> int:
    (found,) = labels_of(sample(**{member: data}), kinds_of([Task(field=field, classes=classes)]))
    return found


def unreadable(data: bytes, field: str = "json.shape", reason: str = "label-unreadable") -> str:
    with pytest.raises(SampleError) as caught:
        label(data, field)
    assert caught.value.reason == reason
    assert "'d/k'" in caught.value.message
    return caught.value.message


def missing_image(found: Sample) -> str:
    with pytest.raises(SampleError) as caught:
        image_member(found, DATASET)
    return caught.value.reason


def test_the_image_is_chosen_by_its_exact_field() -> None:
    dataset = Dataset(shards="x", image="jpg;png", members={"seg.png": "keep"})
    found = sample(seg_png=picture(), jpg=b"the image", cls=b"1")
    assert image_member(found, dataset).data == b"the image"


def test_two_alternatives_of_the_image_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"'d/k'.*png, jpg.*dataset\.image"):
        image_member(sample(png=picture(), jpg=picture()), DATASET)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "ICO"])
@pytest.mark.parametrize("field", ["orig", "txt", "json", "seg_png", "JPG"])
def test_an_undeclared_image_is_refused_under_any_name(kind: str, field: str) -> None:
    found = sample(jpg=picture("JPEG"), **{field: picture(kind)})
    hint = r"declare it `keep` or `drop` under dataset\.members"
    with pytest.raises(RefusedInputError, match=rf"'d/k': member '{field.replace('_', '.')}' is an image.*{hint}"):
        image_member(found, DATASET)
    with pytest.raises(RefusedInputError):
        published_members(found, DATASET, b"new", "png")


def test_an_undeclared_image_is_refused_even_where_the_image_itself_is_missing() -> None:
    with pytest.raises(RefusedInputError, match=r"name it in dataset\.image"):
        image_member(sample(image=picture()), DATASET)


def test_undeclared_binary_is_refused() -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(5))
    for data in (array.getvalue(), b"\0", b"\xff\xfe", b"text with a NUL\0"):
        with pytest.raises(RefusedInputError, match=r"'npy' is undeclared binary.*dataset\.members"):
            image_member(sample(jpg=picture(), npy=data), DATASET)


@pytest.mark.parametrize("declared", ["keep", "drop"])
def test_declared_members_are_not_looked_into(declared: str) -> None:
    dataset = Dataset.model_validate({"shards": "x", "members": {"mask.png": declared, "npy": declared}})
    found = sample(mask_png=picture(), jpg=b"image", npy=b"\0\1", cls=b"1")
    assert image_member(found, dataset).field == "jpg"
    names = [name for name, _ in published_members(found, dataset, b"new", "webp")]
    masks = ["d/k.mask.png", "d/k.webp", "d/k.npy", "d/k.cls"]
    assert names == (masks if declared == "keep" else ["d/k.webp", "d/k.cls"])


def test_labels_and_texts_are_kept_undeclared() -> None:
    found = sample(jpg=picture(), json=b'{"a": 1}', cls=b"3", txt="Größe\n".encode(), empty=b"")
    published = published_members(found, DATASET, b"new", "png")
    assert published == [
        ("d/k.png", b"new"),
        ("d/k.json", b'{"a": 1}'),
        ("d/k.cls", b"3"),
        ("d/k.txt", "Größe\n".encode()),
        ("d/k.empty", b""),
    ]


def test_a_sample_without_image_says_what_it_has() -> None:
    assert missing_image(sample(cls=b"1")) == "no-image"
    assert missing_image(Sample("k", ())) == "no-image"
    assert missing_image(sample(jpg=b"", cls=b"1")) == "empty-image"


def test_the_image_of_a_longer_field_keeps_its_head() -> None:
    dataset = Dataset(shards="x", image="left.jpg")
    assert published_members(sample(left_jpg=b"1"), dataset, b"new", "png") == [("d/k.left.png", b"new")]
    assert published_members(sample(img=b"1"), Dataset(shards="x", image="img"), b"new", "png") == [("d/k.png", b"new")]


@pytest.mark.parametrize("other", ["png", "PNG"])
def test_a_renamed_image_never_takes_the_name_of_another_member(other: str) -> None:
    dataset = Dataset.model_validate({"shards": "x", "image": "jpg", "members": {other: "keep"}})
    with pytest.raises(RefusedInputError, match=r"'d/k'.*name of another member"):
        published_members(sample(jpg=b"1", **{other: b"2"}), dataset, b"new", "png")
    assert len(published_members(sample(jpg=b"1", **{other: b"2"}), dataset, b"new", "webp")) == 2
    dropped = Dataset.model_validate({"shards": "x", "image": "jpg", "members": {other: "drop"}})
    assert published_members(sample(jpg=b"1", **{other: b"2"}), dropped, b"new", "png") == [("d/k.png", b"new")]


@pytest.mark.parametrize(
    ("data", "field", "expected"),
    [
        (b'{"shape": 3}', "json.shape", 3),
        (b'{"a": {"b": {"c": "2"}}}', "json.a.b.c", 2),
        (b'{"a.b": 4, "a": {"b": 1}}', "json.a.b", 4),
        (b"\xef\xbb\xbf[]", "json.shape", "unreadable"),
        (b'{"shape": 2.0}', "json.shape", 2),
        (b"4", "json", 4),
        (b'{"shape": 1}', "shape", 1),
        (b'{"shape": null}', "json.shape", MISSING),
        (b'{"shape": NaN}', "json.shape", MISSING),
        (b'{"shape": "n/a"}', "json.shape", MISSING),
        (b'{"other": 1}', "json.shape", MISSING),
        (b'{"a": null}', "json.a.b", MISSING),
        (b"{}", "cls", MISSING),
    ],
)
def test_labels_are_found_in_json(data: bytes, field: str, expected: int | str) -> None:
    if expected == "unreadable":
        unreadable(data, field)
    else:
        assert label(data, field) == expected


def test_labels_are_found_in_text_and_by_name() -> None:
    assert label(b" 3\n", "cls", member="cls") == 3
    assert label(b"\xef\xbb\xbf1", "cls", member="cls") == 1
    assert label(b"dog\n", "txt", ["cat", "dog"], member="txt") == 1
    assert label(b"", "cls", member="cls") == MISSING
    assert label(b"{}", "cls", member="txt") == MISSING


def test_the_longest_member_name_wins() -> None:
    found = sample(meta_json=b'{"shape": 2}', meta=b"x")
    assert labels_of(found, kinds_of([Task(field="meta.json.shape", classes=3)])) == [2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"shape": 1} x',
        b"\xff",
        b'{"shape": 1, "shape": 2}',
        b'{"x": {"y": 1, "y": 1}, "shape": 1}',
        b"[" * 100_000,
        b'{"shape": ' + b"9" * 5000 + b"}",
        b'{"shape": "red"}',
        b'{"shape": 1.5}',
        b'{"shape": Infinity}',
        b'{"shape": [1]}',
        b'{"shape": {"a": 1}}',
        b'"shape"',
        b"[1]",
    ],
)
def test_labels_that_cannot_be_read_are_named(data: bytes) -> None:
    unreadable(data)


def test_paths_into_something_else_than_an_object_are_unreadable() -> None:
    assert "no JSON object" in unreadable(b'{"shape": 3}', "json.shape.deep")


@pytest.mark.parametrize("value", [b"-1", b"5", b"1e30"])
def test_a_label_out_of_range_names_key_task_and_value(value: bytes) -> None:
    message = unreadable(b'{"shape": ' + value + b"}", reason="label-out-of-range")
    assert "'shape'" in message
    assert str(int(float(value))) in message


@given(
    value=st.recursive(
        st.none() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_gives_a_class_missing_or_a_named_error(value: object) -> None:
    try:
        found: int | str = label(json.dumps({"shape": value}).encode())
    except SampleError as error:
        found = error.reason
    assert found in {"label-unreadable", "label-out-of-range", -1, 0, 1, 2, 3, 4}


def test_one_broken_json_does_not_hide_behind_a_text_label() -> None:
    found = sample(json=b"{", cls=b"1")
    assert labels_of(found, kinds_of([Task(field="cls", classes=2)])) == [1]
    with pytest.raises(SampleError, match="broken JSON"):
        labels_of(found, kinds_of([Task(field="cls", classes=2), Task(field="json.a", classes=2)]))


def test_known_fields_are_those_that_a_task_can_name() -> None:
    found = sample(jpg=picture(), json=b'{"shape": 1, "a": {"b": 2, "c": {}}}', cls=b"3", meta_json=b"{")
    assert known_fields(found) == ["json.shape", "json.a.b", "json.a.c", "cls", "meta.json"]


def test_the_ending_chooses_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "download"
    with TarWriter(path) as writer:
        writer.add("a.jpg", b"1")
    assert list(read_samples(path, "x/y.tar", DATASET)) == [Sample("a", (Member("jpg", b"1"),))]
    with pytest.raises(InputError, match=r"y\.zip"):
        read_samples(path, "x/y.zip", DATASET)
    with pytest.raises(InputError, match=r"y\.parquet.*damaged"):
        list(read_samples(path, "x/y.parquet", DATASET))


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/..", "a\0", "a\\b", "C:/a", "\udcff"])
def test_unsafe_names(name: str) -> None:
    assert unsafe_name(name) is not None


@pytest.mark.parametrize("name", ["a.jpg", "a..b/c...jpg", "./a.jpg", "größe.jpg", "a b.jpg", "12:30.jpg"])
def test_safe_names(name: str) -> None:
    assert unsafe_name(name) is None


def test_a_label_is_found_whatever_the_case_of_its_member() -> None:
    tasks = [Task(field="cls", classes=3), Task(field="json.a", classes=3)]
    assert labels_of(sample(CLS=b"2", Json=b'{"a": 1}'), kinds_of(tasks)) == [2, 1]
    assert labels_of(sample(CLS=b"2", cls=b"0", json=b'{"a": 1}'), kinds_of(tasks)) == [0, 1]
