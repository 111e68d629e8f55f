"""The ledger: which shards count as done, and what makes a shard another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.configuration.plans import protect_plan, train_plan
from pipeline.state.ledger import Ledger, identity_of
from schemas.config import Config
from schemas.plans import ProtectPlan
from schemas.records import GeneratorRecord, ShardRecord, ShardRef
from schemas.stats import Moments
from stages.io.store.objects import Entry
from stages.io.store.store import Store
from tests.builders import config


def generator_of(made: Config, **fields: Any) -> GeneratorRecord:
    values = {"fingerprint": "aaaa", "plan": "bbbb", "spec": train_plan(made).spec, "sha256": "cccc"}
    return GeneratorRecord.model_validate({**values, "samples": 10, "steps": 1, "seconds": 1.0, **fields})


def plan_of(made: Config, **fields: Any) -> ProtectPlan:
    """Of what a run of this configuration protects, with a generator that has these fields."""
    return protect_plan(made, generator_of(made, **fields).content)


def ref(name: str = "a/train-0.tar", **fields: Any) -> ShardRef:
    return ShardRef.model_validate({"name": name, "url": f"s3://b/{name}", "size": 100, "etag": "e"} | fields)


def identity(shard: ShardRef, made: Config, **fields: Any) -> str:
    return identity_of(shard, plan_of(made, **fields))


def record(made: Config, shard: ShardRef, size: int = 7, **fields: Any) -> ShardRecord:
    return ShardRecord(
        identity=identity(shard, made, **fields),
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
    assert ledger.done(shards, plan_of(made), published) == records[:2]
    assert ledger.done(shards, plan_of(made), published[1:]) == records[1:2]
    assert ledger.done(shards, plan_of(made), [Entry("a/x.tar", 6, "")]) == []
    assert ledger.done([], plan_of(made), published) == []


@pytest.mark.parametrize("change", [{"size": 101}, {"etag": "f"}, {"name": "a/train-1.tar"}])
def test_a_changed_input_is_another_shard(made: Config, change: dict[str, Any]) -> None:
    assert identity(ref(**change), made) != identity(ref(), made)


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
    assert identity(ref(), config(tmp_path, **change)) != identity(ref(), made)


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
    assert identity(ref(), config(tmp_path, **change)) == identity(ref(), made)


def test_another_generator_makes_another_shard(made: Config, tmp_path: Path) -> None:
    assert identity(ref(), made, sha256="eeee") != identity(ref(), made)
    other = train_plan(config(tmp_path, train={"resolution": 32})).spec
    assert identity(ref(), made, spec=other) != identity(ref(), made)


def test_the_same_weights_trained_again_keep_what_is_done(made: Config) -> None:
    assert identity(ref(), made, fingerprint="dddd", seconds=9.0) == identity(ref(), made)


def test_where_a_shard_lies_does_not_matter(made: Config) -> None:
    moved = ref(url="gs://other/place/train-0.tar")
    assert identity(moved, made) == identity(ref(), made)


def test_a_shard_that_is_forgotten_loses_all_of_its_records_and_no_other_does(made: Config, ledger: Ledger) -> None:
    kept, again = ref("a/x.tar"), ref("a/x.tar.tar")
    for shard in (kept, again):
        ledger.add(record(made, shard))
        ledger.add(record(made, shard, sha256="ffff"))
    assert len(ledger.identities()) == 4
    ledger.forget({"a/x.tar.tar", "no-such.tar"})
    published = [Entry("a/x.tar", 7, ""), Entry("a/x.tar.tar", 7, "")]
    for plan in (plan_of(made), plan_of(made, sha256="ffff")):
        assert [found.name for found in ledger.done([kept, again], plan, published)] == ["a/x.tar"]
    ledger.forget(set())
    assert len(ledger.identities()) == 2
