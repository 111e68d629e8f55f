"""Parquet shards: a row becomes a sample with one JSON member, and nothing of the original slips through."""

import base64
import io
import json
import tracemalloc
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from schemas.dataset import Dataset
from schemas.errors import InputError, RefusedInputError, SampleError
from schemas.records import Quarantined
from schemas.tasks import MISSING, Task
from stages.io.shards.layout import image_member, published_members
from stages.io.shards.parquet_reading import read_parquet
from stages.io.shards.sample import Member, Sample
from stages.tasks.kinds import kinds_of
from stages.tasks.labels import labels_of


def picture(kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (3, 2), (1, 2, 3)).save(target, kind)
    return target.getvalue()


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
DATASET = Dataset(shards="x", image="image")


def stored(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def images(*cells: bytes | None) -> pa.Array:
    return pa.array([None if cell is None else {"bytes": cell, "path": "secret/IMG_1.jpg"} for cell in cells], IMAGE)


def read(path: Path, dataset: Dataset = DATASET, name: str = "sub/data.train.parquet") -> list[Sample | Quarantined]:
    return list(read_parquet(path, name, dataset))


def samples(path: Path, dataset: Dataset = DATASET) -> list[Sample]:
    found = read(path, dataset)
    assert all(isinstance(sample, Sample) for sample in found)
    return [sample for sample in found if isinstance(sample, Sample)]


def reasons(found: list[Sample | Quarantined]) -> list[tuple[str, str]]:
    return [(item.key, item.reason if isinstance(item, Quarantined) else "") for item in found]


def json_of(sample: Sample) -> Any:
    return json.loads(next(member.data for member in sample.members if member.field == "json"))


def test_a_row_of_a_hugging_face_table_becomes_an_image_and_one_json(tmp_path: Path) -> None:
    columns = {"image": images(picture()), "label": [3], "text": ["größe"]}
    (sample,) = samples(stored(tmp_path / "x", columns))
    assert sample == Sample(
        "data_train-00000000",
        (Member("png", picture()), Member("json", '{"label":3,"text":"größe"}'.encode())),
        image="png",
    )
    assert image_member(sample, DATASET) is sample.members[0]


@pytest.mark.parametrize(("kind", "field"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("GIF", "gif")])
def test_the_image_member_is_named_after_its_content(tmp_path: Path, kind: str, field: str) -> None:
    (sample,) = samples(stored(tmp_path / "x", {"image": images(picture(kind))}))
    assert [member.field for member in sample.members] == [field]
    published = published_members(sample, DATASET, b"new", "png")
    assert published == [("data_train-00000000.png", b"new")]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(len(picture()))])
def test_every_binary_type_can_hold_the_image(tmp_path: Path, kind: pa.DataType) -> None:
    (sample,) = samples(stored(tmp_path / "x", {"image": pa.array([picture()], kind), "label": [1]}))
    assert sample.members[0].data == picture()


def test_labels_are_found_by_their_column_with_or_without_json(tmp_path: Path) -> None:
    columns = {"image": images(picture(), picture()), "shape": [2, None], "labels": [{"colour": 1.0}, {"colour": None}]}
    first, second = samples(stored(tmp_path / "x", columns))
    fields = ("shape", "json.shape", "labels.colour", "json.labels.colour")
    tasks = kinds_of([Task(field=field, classes=5) for field in fields])
    assert labels_of(first, tasks) == [2, 2, 1, 1]
    assert labels_of(second, tasks) == [MISSING] * 4


def test_columns_with_spaces_and_lists_of_names_are_labels(tmp_path: Path) -> None:
    columns = {
        "image": images(picture(), picture(), picture(), picture()),
        "Finding Labels": pa.array([["Mass", "Hernia"], [], None, ["Hernia"]], pa.list_(pa.string())),
        "View Position": pa.array([["PA"], ["AP"], None, ["PA"]], pa.list_(pa.string())),
    }
    found = samples(stored(tmp_path / "x", columns))
    findings = Task(field="Finding Labels", kind="multilabel", findings=["Hernia", "Mass"])
    tasks = kinds_of([*findings.parts, Task(field="View Position", classes=["AP", "PA"])])
    assert [kind.task.name for kind in tasks] == ["Finding_Labels.Hernia", "Finding_Labels.Mass", "View_Position"]
    assert [labels_of(sample, tasks) for sample in found] == [[1, 1, 1], [0, 0, 0], [MISSING] * 3, [1, 0, 1]]


def test_every_plain_type_becomes_strict_json(tmp_path: Path) -> None:
    columns = {
        "image": images(picture()),
        "nan": [float("nan")],
        "infinite": [float("inf")],
        "flag": [True],
        "list": [[1, 2]],
        "struct": pa.array([{"a": {"b": [float("nan")]}}]),
        "time": [datetime(2026, 1, 2, 3, 4, 5)],
        "exact": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        "span": [timedelta(seconds=90)],
        "decimal": [Decimal("1.50")],
        "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        "category": pa.array(["red"]).dictionary_encode(),
        "nothing": pa.nulls(1),
    }
    (sample,) = samples(stored(tmp_path / "x", columns))
    assert json_of(sample) == {
        "nan": None,
        "infinite": None,
        "flag": True,
        "list": [1, 2],
        "struct": {"a": {"b": [None]}},
        "time": "2026-01-02T03:04:05",
        "exact": "2023-11-14T22:13:20.123456",
        "span": 90.0,
        "decimal": "1.50",
        "map": [["a", 1]],
        "category": "red",
        "nothing": None,
    }


def test_the_original_file_name_is_nowhere_published(tmp_path: Path) -> None:
    masks = images(picture("BMP"))
    dataset = Dataset(shards="x", image="image", members={"mask": "keep"})
    (sample,) = samples(stored(tmp_path / "x", {"image": images(picture()), "mask": masks, "label": [1]}), dataset)
    published = published_members(sample, dataset, b"new", "webp")
    assert [name.partition(".")[2] for name, _ in published] == ["webp", "mask", "json"]
    assert all(b"secret" not in data for _, data in published)


def test_an_undeclared_binary_column_is_refused_and_a_dropped_one_is_not_read(tmp_path: Path) -> None:
    path = stored(tmp_path / "x", {"image": images(picture()), "raw": images(picture()), "note": ["n"], "label": [1]})
    (sample,) = samples(path)
    with pytest.raises(RefusedInputError, match=r"'raw'.*dataset\.members"):
        image_member(sample, DATASET)
    dropped = Dataset(shards="x", image="image", members={"raw": "drop", "note": "drop"})
    (sample,) = samples(path, dropped)
    assert json_of(sample) == {"label": 1}
    assert image_member(sample, dropped).field == "png"


@pytest.mark.parametrize("kind", [pa.list_(IMAGE), pa.list_(pa.binary()), pa.struct([("thumb", pa.binary())])])
def test_bytes_hidden_inside_other_columns_are_refused(tmp_path: Path, kind: pa.DataType) -> None:
    path = stored(tmp_path / "x", {"image": images(picture()), "hidden": pa.array([None], kind)})
    with pytest.raises(RefusedInputError, match=r"'hidden'.*`drop` under dataset\.members"):
        read(path)
    assert len(samples(path, Dataset(shards="x", image="image", members={"hidden": "drop"}))) == 1


@pytest.mark.parametrize("column", ["json", "a/b", "..", "png"])
def test_a_binary_column_that_cannot_be_a_member_is_refused(tmp_path: Path, column: str) -> None:
    path = stored(tmp_path / "x", {"image": images(picture()), column: pa.array([b"\0"])})
    with pytest.raises(RefusedInputError, match="rename it"):
        read(path, Dataset(shards="x", image="image", members={column: "keep"}))


def test_a_missing_image_column_names_the_columns(tmp_path: Path) -> None:
    path = stored(tmp_path / "x", {"picture": images(picture()), "label": [1]})
    with pytest.raises(RefusedInputError, match=r"columns with bytes: picture; all columns: picture, label"):
        read(path, Dataset(shards="x"))
    with pytest.raises(RefusedInputError, match="column 'label' is int64"):
        read(path, Dataset(shards="x", image="label"))


def test_keys_come_from_their_column_and_unusable_ones_are_quarantined(tmp_path: Path) -> None:
    keys = ["a", "dir/b.c", "a", "../x", None, "d/", "dir/b_c"]
    path = stored(tmp_path / "x", {"__key__": keys, "image": images(*[picture()] * 7), "key": range(7)})
    assert reasons(read(path)) == [
        ("a", ""),
        ("dir/b_c", ""),
        ("a", "duplicate-key"),
        ("data_train-00000003", "unsafe-name"),
        ("data_train-00000004", ""),
        ("data_train-00000005", "unsafe-name"),
        ("dir/b_c", "duplicate-key"),
    ]


def test_integer_keys_are_used(tmp_path: Path) -> None:
    assert reasons(read(stored(tmp_path / "x", {"key": [7, 8], "image": images(picture(), picture())}))) == [
        ("7", ""),
        ("8", ""),
    ]


def test_rows_without_image_bytes_are_quarantined(tmp_path: Path) -> None:
    cells = pa.array([None, {"bytes": None, "path": "x.jpg"}, {"bytes": b"", "path": None}], IMAGE)
    found = read(stored(tmp_path / "x", {"image": cells}))
    assert [reason for _, reason in reasons(found)] == ["no-image", "no-image", ""]
    assert isinstance(found[2], Sample)
    with pytest.raises(SampleError) as caught:
        image_member(found[2], DATASET)
    assert caught.value.reason == "empty-image"


def test_bytes_that_are_no_image_still_are_the_image_member(tmp_path: Path) -> None:
    (sample,) = samples(stored(tmp_path / "x", {"image": pa.array([b"broken"])}))
    assert image_member(sample, DATASET) == Member("img", b"broken")


def test_damaged_files_are_input_errors_that_name_the_shard(tmp_path: Path) -> None:
    path = stored(tmp_path / "x", {"image": images(*[picture()] * 50), "label": range(50)}, write_page_checksum=True)
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 4] ^= 0xFF
    for broken in (
        b"",
        b"PAR1",
        b"text" * 100,
        data[:-1],
        data[: len(data) // 2],
        data[:-8] + bytes(4) + b"PAR1",
        flipped,
    ):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"data\.train\.parquet.*damaged") as caught:
            read(path)
        assert not isinstance(caught.value, RefusedInputError)


def test_text_that_is_not_utf8_is_an_input_error(tmp_path: Path) -> None:
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\x02\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    with pytest.raises(InputError, match="at or after row 0"):
        read(stored(tmp_path / "x", {"image": images(picture()), "text": text}))


def test_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        cells = pa.array([bytes([index % 256]) * 20_000 for index in range(rows)])
        path = stored(tmp_path / "x", {"image": cells}, row_group_size=rows, write_batch_size=32)
        del cells
        before, most = pa.total_allocated_bytes(), 0
        tracemalloc.start()
        for _ in read_parquet(path, "x.parquet", DATASET):
            most = max(most, pa.total_allocated_bytes() - before)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most + found

    peak(10)
    assert peak(2000) < 12_000_000  # the row group has 40 million bytes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "image": st.binary(min_size=1, max_size=30),
                "a": st.none() | st.integers(-(2**63), 2**63 - 1),
                "b": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "c": st.none() | st.text(st.characters(codec="utf-8")),
                "d": st.none() | st.lists(st.booleans()),
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_values_come_back_from_the_json(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    types = {"image": pa.binary(), "a": pa.int64(), "b": pa.float64(), "c": pa.string(), "d": pa.list_(pa.bool_())}
    path = stored(tmp_path / "x", {name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()})
    found = samples(path)
    assert [sample.members[0].data for sample in found] == [row["image"] for row in rows]
    assert [json_of(sample) for sample in found] == [
        {name: value for name, value in row.items() if name != "image"} for row in rows
    ]
    assert found == samples(path)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (list(range(64)), pa.list_(pa.uint8())),
        (np.arange(64).reshape(8, 8).tolist(), pa.list_(pa.list_(pa.uint8()))),
        (list(range(64)), pa.list_(pa.int64())),
        ([each / 255 for each in range(64)], pa.list_(pa.float32())),
        (list(range(64)), pa.list_(pa.uint8(), 64)),
        ({"a": [{"b": list(range(64))}]}, pa.struct([("a", pa.list_(pa.struct([("b", pa.large_list(pa.int16()))])))])),
        (list(range(64)), pa.list_(pa.decimal128(5, 1))),
        (" ".join(map(str, range(64))), pa.large_string()),
        ([(str(each), each) for each in range(64)], pa.map_(pa.string(), pa.uint8())),
        (base64.b64encode(picture()).decode(), pa.string()),
        (base64.b64encode(picture()), pa.large_binary()),
    ],
)
@pytest.mark.parametrize("members", [{}, {"x": "keep"}])
def test_originals_in_columns_of_numbers_and_text_are_refused_unless_their_column_is_kept(
    tmp_path: Path, values: Any, kind: pa.DataType, members: dict[str, Any]
) -> None:
    target = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(target, "PNG")
    path = stored(tmp_path / "x", {"image": images(target.getvalue()), "x": pa.array([values], kind), "label": [1]})
    dataset = Dataset(shards="x", image="image", members=members)
    (sample,) = samples(path, dataset)
    text = pa.types.is_large_binary(kind)
    if members and not text:
        assert image_member(sample, dataset).field == "png"
        return
    with pytest.raises(RefusedInputError, match=r"`x(\.a\.b)?: drop`"):
        image_member(sample, dataset)
    (sample,) = samples(path, Dataset(shards="x", image="image", members={"x": "drop"}))
    assert image_member(sample, dataset).field == "png"


def test_fields_of_structs_are_dropped_by_name_bytes_included(tmp_path: Path) -> None:
    meta = pa.array([{"iso": 100, "exif": {"gps": [1.5]}, "thumb": b"\0"}])
    path = stored(tmp_path / "x", {"image": images(picture()), "meta": meta, "label": [1]})
    with pytest.raises(RefusedInputError, match="'meta' nests bytes"):
        read(path, Dataset(shards="x", image="image", members={"meta.exif": "drop"}))
    dataset = Dataset(shards="x", image="image", members={"meta.exif": "drop", "json.meta.thumb": "drop"})
    (sample,) = samples(path, dataset)
    assert json_of(sample) == {"meta": {"iso": 100}, "label": 1}
    published = dict(published_members(sample, dataset, b"new", "png"))
    assert published["data_train-00000000.json"] == b'{"meta":{"iso":100},"label":1}'
