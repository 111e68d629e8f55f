"""The ledger: which shards count as done, and what makes a shard another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.state.ledger import Ledger, identity_of
from schemas.config import Config
from schemas.records import GeneratorRecord, ShardRecord, ShardRef
from schemas.stats import Moments
from stages.io.store.objects import Entry
from stages.io.store.store import Store
from tests.builders import config

GENERATOR = GeneratorRecord(
    fingerprint="aaaa",
    settings="bbbb",
    preset="tiny",
    resolution=16,
    epsilon=8 / 255,
    class_counts=[3, 2],
    protected=[True, True],
    sha256="cccc",
    samples=10,
    steps=1,
    seconds=1.0,
    losses=[],
)


def ref(name: str = "a/train-0.tar", **fields: Any) -> ShardRef:
    return ShardRef.model_validate({"name": name, "url": f"s3://b/{name}", "size": 100, "etag": "e"} | fields)


def record(made: Config, shard: ShardRef, generator: GeneratorRecord = GENERATOR, size: int = 7) -> ShardRecord:
    return ShardRecord(
        identity=identity_of(shard, made, generator),
        name=shard.output_name,
        source_sha256="11",
        sha256="22",
        bytes=size,
        samples=3,
        labelled={"a": 3},
        max_delta=8,
        psnr=Moments(),
        delta=Moments(),
    )


@pytest.fixture
def made(tmp_path: Path) -> Config:
    return config(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path / "private")))


def test_a_shard_is_done_when_it_is_recorded_and_published_in_its_size(made: Config, ledger: Ledger) -> None:
    shards = [ref("a/x.tar"), ref("b.parquet"), ref("c.tar")]
    records = [record(made, shard) for shard in shards]
    for each in records[:2]:
        ledger.add(each)
    published = [Entry(each.name, 7, "") for each in records]
    assert [entry.name for entry in published] == ["a/x.tar", "b.tar", "c.tar"]
    assert ledger.done(shards, made, GENERATOR, published) == records[:2]
    assert ledger.done(shards, made, GENERATOR, published[1:]) == records[1:2]
    assert ledger.done(shards, made, GENERATOR, [Entry("a/x.tar", 6, "")]) == []
    assert ledger.done([], made, GENERATOR, published) == []


@pytest.mark.parametrize("change", [{"size": 101}, {"etag": "f"}, {"name": "a/train-1.tar"}])
def test_a_changed_input_is_another_shard(made: Config, change: dict[str, Any]) -> None:
    assert identity_of(ref(**change), made, GENERATOR) != identity_of(ref(), made, GENERATOR)


@pytest.mark.parametrize(
    "change",
    [
        {"protection": {"epsilon": "4/255"}},
        {"protection": {"tasks": ["a"]}},
        {"protect": {"encoding": "webp"}},
        {"protect": {"on_error": "fail"}},
        {"dataset": {"members": {"json": "keep"}}},
        {"dataset": {"image": "jpg"}},
        {"dataset": {"max_pixels": 1000}},
        {"tasks": [{"field": "json.a", "classes": 4}, {"field": "json.b", "classes": 2}]},
    ],
)
def test_a_setting_that_decides_the_bytes_makes_another_shard(
    made: Config, tmp_path: Path, change: dict[str, Any]
) -> None:
    assert identity_of(ref(), config(tmp_path, **change), GENERATOR) != identity_of(ref(), made, GENERATOR)


@pytest.mark.parametrize(
    "change",
    [
        {"compute": {"cpus": 7}},
        {"protect": {"max_quarantined": 0.5}},
        {"name": "other"},
        {"work": "/elsewhere"},
        {"output": "/elsewhere-too"},
        {"audit": {"epochs": 3}},
        {"dataset": {"storage": {"endpoint_url": "http://127.0.0.1:1"}}},
    ],
)
def test_a_setting_that_decides_no_byte_keeps_what_is_done(
    made: Config, tmp_path: Path, change: dict[str, Any]
) -> None:
    assert identity_of(ref(), config(tmp_path, **change), GENERATOR) == identity_of(ref(), made, GENERATOR)


@pytest.mark.parametrize("change", [{"fingerprint": "dddd"}, {"sha256": "eeee"}])
def test_another_generator_makes_another_shard(made: Config, change: dict[str, str]) -> None:
    other = GENERATOR.model_copy(update=change)
    assert identity_of(ref(), made, other) != identity_of(ref(), made, GENERATOR)


def test_where_a_shard_lies_does_not_matter(made: Config) -> None:
    moved = ref(url="gs://other/place/train-0.tar")
    assert identity_of(moved, made, GENERATOR) == identity_of(ref(), made, GENERATOR)


def test_a_shard_that_is_forgotten_loses_all_of_its_records_and_no_other_does(made: Config, ledger: Ledger) -> None:
    other = GENERATOR.model_copy(update={"sha256": "ffff"})
    kept, again = ref("a/x.tar"), ref("a/x.tar.tar")
    for shard in (kept, again):
        ledger.add(record(made, shard))
        ledger.add(record(made, shard, other))
    assert len(ledger.identities()) == 4
    ledger.forget({"a/x.tar.tar", "no-such.tar"})
    published = [Entry("a/x.tar", 7, ""), Entry("a/x.tar.tar", 7, "")]
    for generator in (GENERATOR, other):
        assert [found.name for found in ledger.done([kept, again], made, generator, published)] == ["a/x.tar"]
    ledger.forget(set())
    assert len(ledger.identities()) == 2
