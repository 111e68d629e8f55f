"""Parquet out: what is published is the input's table or the tar's members, typed, and is read again like a tar."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.configuration.plans import protect_plan
from schemas.dataset import Layout
from schemas.errors import InputError, MtlueError, RefusedInputError, ValidationError
from schemas.plans import ProtectPlan
from schemas.records import ShardRecord
from stages.io.images.decoding import decode_image
from stages.io.shards.parquet_metadata import HUGGING_FACE, OURS, features_in
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.io.store.store import Store
from stages.protect import protect, reread
from stages.protect.protect import protect_shard, write_protected
from stages.protect.validate import validate_shard
from stages.verify import check_as_user_reads
from tests import builders
from tests.builders import jpeg, picture, png

FEATURES = {
    "id": {"dtype": "string", "_type": "Value"},
    "image": {"mode": None, "decode": True, "_type": "Image"},
    "mask": {"_type": "Image"},
    "a": {"names": ["x", "y", "z"], "_type": "ClassLabel"},
    "b": {"dtype": "int32", "_type": "Value"},
    "meta": {"iso": {"dtype": "int64", "_type": "Value"}, "owner": {"dtype": "string", "_type": "Value"}},
    "note": {"dtype": "string", "_type": "Value"},
}
MEMBERS = {"mask": "keep", "meta.owner": "drop", "note": "drop"}
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def image(data: bytes) -> dict[str, Any]:
    return {"bytes": data, "path": "/home/owner/SECRET.jpg"}


def table_shard(path: Path, *, features: Any = FEATURES, bad_row: int | None = None) -> Path:
    """A table as the Hub has it, with six rows; the original's file names are in it."""
    rows = [
        {
            "a": number % 3,
            "image": image(b"no image" if number == bad_row else jpeg(picture(number, 16, 20))),
            "mask": image(png(picture(100 + number, 16, 20, 1))),
            "b": None if number == 1 else number % 2,
            "meta": {"iso": 100 * number, "owner": "SECRET"},
            "taken": datetime(2026, 1, 1 + number),
            "note": "SECRET",
        }
        for number in range(6)
    ]
    types = {
        "a": pa.int64(), "image": STRUCT, "mask": STRUCT, "b": pa.int32(),
        "meta": pa.struct([("iso", pa.int64()), ("owner", pa.string())]), "taken": pa.timestamp("ns"),
        "note": pa.string(),
    }  # fmt: skip
    metadata = {} if features is None else {HUGGING_FACE: json.dumps({"info": {"features": features}}).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(list(types.items()), metadata={**metadata, b"pandas": b"SECRET"})
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=4)
    return path


def tar_shard(path: Path) -> Path:
    """Members in several orders, of several kinds; one sample without a label, one that cannot be decoded."""
    samples = []
    for number in range(6):
        label = json.dumps({"a": number % 3, "b": None if number == 1 else number % 2}).encode()
        data = b"no image" if number == 4 else jpeg(picture(number, 16, 20))
        members = [("cls", b"%d\n" % (number % 3)), ("jpg", data), ("json", label)]
        members += [("seg.png", png(picture(100 + number, 16, 20, 1)))] if number != 2 else []
        members += [("a", b"\xff\x00" if number == 3 else b"text")]
        samples.append((f"dir/k{number}", members if number % 2 else members[::-1]))
    return builders.write_shard(path, samples)


class Place:
    """A shard, and what is published of it."""

    def __init__(self, root: Path, shard: Path, **overrides: Any) -> None:
        self.shard = shard
        self.config = builders.config(root, **overrides)
        self.plan: ProtectPlan = protect_plan(self.config)
        self.output = Store(str(root / "public"))

    def protect(self) -> ShardRecord:
        source, ref = builders.shard_ref(self.shard)
        ref = ref.model_copy(update={"output_format": self.plan.output_format})
        return protect_shard(source, ref, self.output, self.plan, builders.perturber(), "identity")

    @property
    def path(self) -> Path:
        return Path(self.output.join("train-0.parquet"))

    def published(self) -> list[Sample]:
        found = list(read_samples(self.path, "train-0.parquet", Layout()))
        assert all(isinstance(sample, Sample) for sample in found), found
        return [sample for sample in found if isinstance(sample, Sample)]

    def validated(self, path: Path | None = None) -> int:
        epsilon, tasks = self.plan.epsilon, self.plan.tasks
        return validate_shard(
            self.shard,
            self.shard.name,
            path or self.path,
            self.plan.layout,
            epsilon=epsilon,
            encoding="png",
            tasks=tasks,
        ).samples


def of_table(root: Path, **options: Any) -> Place:
    dataset = {"shards": f"{root}/raw/*.parquet", "image": "image", "members": MEMBERS}
    tasks = [{"field": "a", "classes": 3}, {"field": "b", "classes": 2}]
    shard = table_shard(root / "raw" / "train-0.parquet", **options)
    return Place(root, shard, dataset=dataset, tasks=tasks, protect={"output_format": "parquet"})


def of_tar(root: Path) -> Place:
    members = {"seg.png": "keep", "a": "keep"}
    shard = tar_shard(root / "raw" / "train-0.tar")
    return Place(root, shard, dataset={"image": "jpg", "members": members}, protect={"output_format": "parquet"})


PLACES = {"table": of_table, "tar": of_tar}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


def test_a_table_keeps_its_columns_types_and_features_apart_from_what_is_dropped(tmp_path: Path) -> None:
    place = of_table(tmp_path, bad_row=2)
    record = place.protect()
    assert record.name == "train-0.parquet"
    assert [found.key for found in record.quarantined] == ["train-0-00000002"]
    before, after = pq.read_table(place.shard), pq.read_table(place.path)
    assert after.schema.names == ["__key__", "a", "image", "mask", "b", "meta", "taken"]
    kept = [0, 1, 3, 4, 5]
    assert after["__key__"].to_pylist() == [f"train-0-{row:08d}" for row in kept]
    for name in ("a", "b", "taken"):
        assert after.schema.field(name).type == before.schema.field(name).type
        assert (
            after[name].equals(before[name].take(kept))
            or after[name].to_pylist() == before[name].take(kept).to_pylist()
        )
    assert after["meta"].to_pylist() == [{"iso": 100 * row} for row in kept]
    expected = {name: FEATURES[name] for name in ("a", "image", "mask", "b")}
    text = {"dtype": "string", "_type": "Value"}
    assert features_in(after.schema) == {"__key__": text, **expected, "meta": {"iso": FEATURES["meta"]["iso"]}}
    assert [each["bytes"] for each in after["mask"].to_pylist()] == [
        each["bytes"] for each in before["mask"].take(kept).to_pylist()
    ]
    assert b"SECRET" not in place.path.read_bytes()
    assert set(after.schema.metadata) == {HUGGING_FACE, OURS}


def test_a_tar_becomes_a_table_of_its_members_with_typed_labels(tmp_path: Path) -> None:
    place = of_tar(tmp_path)
    record = place.protect()
    assert [found.key for found in record.quarantined] == ["dir/k4"]
    table = pq.read_table(place.path)
    assert table.schema.names[:4] == ["__key__", "image", "a", "b"]
    assert set(table.schema.names[4:]) == {"a.member", "seg.png", "json", "cls"}
    features = features_in(table.schema)
    assert features["a"] == {"names": ["0", "1", "2"], "_type": "ClassLabel"}
    assert features["image"] == features["seg.png"] == {"_type": "Image"}
    assert features["json"]["dtype"] == "string"
    assert features["a.member"]["dtype"] == "binary"  # one sample has bytes there that are no text
    assert table["a"].to_pylist() == [0, 1, 2, 0, 2]
    assert table["b"].to_pylist() == [0, None, 0, 1, 1]
    assert table["seg.png"].to_pylist()[2] is None
    assert table["image"].to_pylist()[0]["path"] == "dir/k0.png"


def test_what_is_published_is_read_again_as_the_same_samples_as_a_tar(place: Place, tmp_path: Path) -> None:
    place.protect()
    target = tmp_path / "twin.tar"
    write_protected(
        place.shard,
        place.shard.name,
        target,
        place.plan.model_copy(update={"output_format": "tar"}),
        builders.perturber(),
    )
    twins = list(read_samples(target, "twin.tar", place.plan.layout))
    published = place.published()
    assert len(published) == len(twins)
    for sample, twin in zip(published, twins, strict=True):
        assert isinstance(twin, Sample)
        assert sample.key == twin.key
        assert sorted(sample.members, key=lambda member: member.field) == sorted(
            twin.members, key=lambda member: member.field
        )


def test_bytes_are_the_same_every_time_whatever_the_row_groups(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.protect().sha256
    assert place.protect().sha256 == first
    monkeypatch.setattr("stages.io.shards.parquet_writing.GROUP_ROWS", 2)
    assert place.protect().sha256 != first  # so many rows are a group
    assert pq.ParquetFile(place.path).num_row_groups > 1
    assert place.validated() == len(place.published())


def test_a_published_table_is_compared_with_its_input_in_every_cell(place: Place, tmp_path: Path) -> None:
    place.protect()
    check_as_user_reads(place.path, "train-0.parquet")
    assert place.validated() == len(place.published())
    table = pq.read_table(place.path)
    assert decode_image(table["image"][0].as_py()["bytes"], max_pixels=10**6).pixels.shape[:2] == (16, 20)
    for name in table.schema.names:
        column = table[name].to_pylist()
        column[0], column[-1] = column[-1], column[0]
        if column == table[name].to_pylist():
            continue
        index = table.schema.get_field_index(name)
        changed = table.set_column(index, table.schema.field(name), pa.array(column, table.schema.field(name).type))
        pq.write_table(changed, tmp_path / "changed.parquet")
        with pytest.raises(MtlueError, match=r"shard train-0\.(tar|parquet)"):
            place.validated(tmp_path / "changed.parquet")


@pytest.mark.parametrize("column", ["image", "a", "json"])
def test_bytes_that_change_on_their_way_to_the_disk_are_never_published(
    column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = of_tar(tmp_path)
    check = reread.Receipt.check

    def spoilt(self: Any, path: Path, shard: str, layout: Layout) -> None:
        table = pq.read_table(path)
        values = table[column].to_pylist()
        values[1] = {"image": {"bytes": b"x", "path": "dir/k1.png"}, "a": 0, "json": "{}"}[column]
        field = table.schema.field(column)
        pq.write_table(
            table.set_column(table.schema.get_field_index(column), field, pa.array(values, field.type)), path
        )
        check(self, path, shard, layout)

    monkeypatch.setattr(protect.Receipt, "check", spoilt)
    with pytest.raises(
        ValidationError, match=r"shard train-0\.tar: sample 'dir/k1'.*(changed on its way|columns of labels)"
    ):
        place.protect()
    assert place.output.list() == []


def test_a_writer_that_ends_by_an_error_leaves_nothing_to_read(tmp_path: Path) -> None:
    place = of_tar(tmp_path)
    failing = place.plan.model_copy(update={"on_error": "fail"})
    with pytest.raises(InputError):
        write_protected(place.shard, "train-0.tar", tmp_path / "out.parquet", failing, builders.perturber())
    assert not (tmp_path / "out.parquet").exists()


def test_a_column_of_sounds_is_refused_with_what_to_do(tmp_path: Path) -> None:
    place = of_table(tmp_path, features={**FEATURES, "image": {"sampling_rate": 16000, "_type": "Audio"}})
    with pytest.raises(RefusedInputError, match=r"column 'image' is Audio .*no Image; name the column of pictures in"):
        place.protect()


def test_a_table_without_features_gets_those_that_are_known(tmp_path: Path) -> None:
    place = of_table(tmp_path, features=None)
    place.protect()
    assert features_in(pq.read_schema(place.path)) == {
        "__key__": {"dtype": "string", "_type": "Value"},
        "image": {"_type": "Image"},
    }


def test_damaged_metadata_of_ours_is_an_input_error(tmp_path: Path) -> None:
    place = of_tar(tmp_path)
    place.protect()
    table = pq.read_table(place.path)
    for damaged in (b"{", b'{"key": "x", "image": "nothing"}'):
        pq.write_table(table.replace_schema_metadata({OURS: damaged}), tmp_path / "x.parquet")
        with pytest.raises(InputError, match=r"shard x\.parquet: the file's metadata `mtlue`"):
            list(read_samples(tmp_path / "x.parquet", "x.parquet", Layout()))
