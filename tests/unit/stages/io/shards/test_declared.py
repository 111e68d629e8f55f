"""Single keys of JSON: dropped ones are taken out, all else keeps its values and order."""

from __future__ import annotations

import json

import pytest

from schemas.dataset import Layout
from schemas.errors import SampleError
from stages.io.shards.declared import published_data
from stages.io.shards.sample import Member, Sample

TEXT = (
    '{"b": 1.10, "url": "u", "a": 123456789012345678901, "e": 1e-400, "n": NaN, "meta": {"exif": {"x": 1}, "iso": 100},'
    ' "people": [{"name": "ä", "url": "u"}, {"name": "\\ud83d\\ude00", "url": null}, 7], "empty": {}, "list": []}'
)


def published(text: str, *names: str, field: str = "json") -> str:
    member = Member(field, text.encode())
    return published_data(Sample("s", (member,)), member, Layout(members=dict.fromkeys(names, "drop"))).decode()


def test_dropped_keys_are_gone_and_everything_else_has_its_value_and_place() -> None:
    left = published(TEXT, "json.url", "json.meta.exif", "json.people.url")
    assert left == (
        '{"b":1.10,"a":123456789012345678901,"e":1e-400,"n":NaN,"meta":{"iso":100},'
        '"people":[{"name":"\\u00e4"},{"name":"\\ud83d\\ude00"},7],"empty":{},"list":[]}'
    )


def test_json_without_a_dropped_key_stays_byte_for_byte() -> None:
    assert published(TEXT, "json.imageData", "other.url", "url") == TEXT


def test_a_key_with_dots_and_doubled_keys_are_dropped() -> None:
    assert published('{"a.b": 1, "a": {"b": 2, "c": 3}, "a": 4}', "json.a.b") == '{"a":{"c":3},"a":4}'


def test_keys_of_another_json_member_are_its_own() -> None:
    assert published('{"url": 1, "x": 2}', "left.json.url", field="left.json") == '{"x":2}'


@pytest.mark.parametrize("text", ["{", "no JSON", '{"url": "u",}'])
def test_no_key_is_dropped_from_what_is_no_json(text: str) -> None:
    with pytest.raises(SampleError, match="member 'json' is no JSON"):
        published(text, "json.url")


def test_the_result_is_json_again() -> None:
    assert json.loads(published('{"url": 1, "text": "\\u0000\\"\\\\"}', "json.url")) == {"text": '\0"\\'}
