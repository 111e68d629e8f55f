"""Records: a sample that was left out is counted once, whoever met it; records of earlier versions load."""

from __future__ import annotations

from schemas.plans import GeneratorSpec
from schemas.records import GeneratorRecord, Quarantined, once_each


def left_out(shard: str, key: str, reason: str = "corrupt-image", message: str = "m") -> Quarantined:
    return Quarantined(shard=shard, key=key, reason=reason, message=message)


def test_a_sample_is_told_once_for_each_reason_in_the_order_of_shards_and_keys() -> None:
    first = left_out("b.tar", "k", message="first")
    other_reason = left_out("b.tar", "k", "no-image")
    samples = [
        first,
        left_out("b.tar", "a"),
        left_out("b.tar", "k", message="again"),
        other_reason,
        left_out("a.tar", "z"),
    ]
    assert once_each(samples) == [samples[4], samples[1], first, other_reason]


def test_a_shard_counts_as_the_same_under_the_names_of_its_input_and_its_output() -> None:
    assert once_each([left_out("a.parquet", "k"), left_out("a.tar", "k")]) == [left_out("a.parquet", "k")]


def test_a_generators_record_of_an_earlier_version_loads_without_the_share_that_labels_explain() -> None:
    spec = GeneratorSpec(network="codes", resolution=16, epsilon=8 / 255, tasks=[], protected=[])
    record = GeneratorRecord(fingerprint="f", plan="p", spec=spec, sha256="s", samples=1, steps=1, seconds=1.0)
    values = record.model_dump(mode="json")
    del values["explained"], values["spec"]["balanced"]
    again = GeneratorRecord.model_validate(values)
    assert again.explained is None
    assert again == record
    assert again.content == record.content
