"""Errors name shard and sample once, and lose neither on their way between processes."""

from __future__ import annotations

import pickle

import pytest

from schemas import errors
from schemas.errors import InputError, MtlueError, RefusedInputError, SampleError, ValidationError
from schemas.records import Quarantined

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MtlueError)]


def make(kind: type[MtlueError], **place: str) -> MtlueError:
    return kind("corrupt-image", "3 bytes", **place) if issubclass(kind, SampleError) else kind("3 bytes", **place)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "3 bytes"),
        ({"shard": "a/0.tar"}, "shard a/0.tar: 3 bytes"),
        ({"key": "it's"}, 'sample "it\'s": 3 bytes'),
        ({"shard": "0.tar", "key": ""}, "shard 0.tar: sample '': 3 bytes"),
    ],
)
def test_the_text_begins_with_what_is_known_of_the_place(place: dict[str, str], text: str) -> None:
    error = InputError("3 bytes", **place)
    assert (str(error), error.message, error.problem) == (text, text, "3 bytes")


def test_what_is_not_known_is_filled_in_and_what_is_known_stays() -> None:
    error = SampleError("corrupt-image", "3 bytes", key="k")
    assert error.at(shard="0.tar", key="other") is error
    assert error.at(shard="1.tar").message == "shard 0.tar: sample 'k': 3 bytes"
    assert error.reason == "corrupt-image"


def test_an_error_that_is_raised_again_is_of_the_same_class() -> None:
    def refuse() -> None:
        try:
            raise RefusedInputError("declare it")
        except MtlueError as error:
            raise error.at(shard="0.tar") from None

    with pytest.raises(RefusedInputError, match=r"^shard 0\.tar: declare it$") as caught:
        refuse()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_arrives_whole_in_another_process(kind: type[MtlueError]) -> None:
    error = make(kind, shard="0.tar").at(key="k")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is kind
    assert str(again) == "shard 0.tar: sample 'k': 3 bytes"
    assert vars(again) == vars(error)


def test_a_record_tells_the_whole_text_and_gives_the_problem_back() -> None:
    record = Quarantined.of(SampleError("corrupt-image", "3 bytes"), shard="0.tar", key="k")
    assert record.message == "shard 0.tar: sample 'k': 3 bytes"
    assert ValidationError(record.problem, shard=record.shard, key=record.key).message == record.message


def test_a_problem_that_quotes_a_whole_label_is_cut_and_keeps_what_was_found_and_the_remedy() -> None:
    error = SampleError("label-out-of-range", f"task 'a' holds {'x' * 100_000}, outside 0..9; correct the label")
    assert len(error.message) < 600
    assert error.message.startswith("task 'a' holds xxx")
    assert error.message.endswith("outside 0..9; correct the label")
    assert pickle.loads(pickle.dumps(error)).message == error.message  # noqa: S301
