"""Drift: later shards that look unlike the earlier ones are told of, and those that are alike are not."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.records import ShardProfile
from schemas.stats import Moments
from stages.ingest.drift import drift
from tests import builders

TASKS = builders.tasks((3, 2))


def moments(mean: float, samples: int, deviation: float = 10.0) -> Moments:
    return Moments(count=samples, mean=mean, m2=samples * deviation**2, minimum=mean, maximum=mean)


def profile(samples: int = 90, *, light: float = 120.0, side: float = 64.0, **fields: Any) -> ShardProfile:
    third = samples // 3
    values: dict[str, Any] = {
        "name": "x.tar",
        "samples": samples,
        "bytes": 1,
        "sha256": "00",
        "modes": {"RGB": samples},
        "height": moments(side, samples),
        "width": moments(side, samples),
        "histograms": {"a": [third, third, samples - 2 * third], "b": [samples // 2, samples - samples // 2]},
        "missing": {"a": 0, "b": 0},
        "brightness": moments(light, samples),
    }
    return ShardProfile(**{**values, **fields})


def told(later: ShardProfile, *before: ShardProfile) -> list[str]:
    return list(drift(TASKS, before or [profile(), profile()], [later]))


def test_shards_that_are_alike_are_not_told_of() -> None:
    assert told(profile(60)) == []
    assert told(profile(60, light=123.0, side=60.0, histograms={"a": [25, 15, 20], "b": [34, 26]})) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"histograms": {"a": [90, 0, 0], "b": [45, 45]}}, "labels of task 'a' are spread differently"),
        ({"missing": {"a": 0, "b": 60}}, "67% of the labels of task 'b' are missing, 0% before"),
        ({"light": 200.0}, "mean brightness is 200 of 255, 120 before"),
        ({"side": 128.0}, "mean width is 128 pixels, 64 before"),
    ],
)
def test_what_differs_is_named_with_both_figures(change: dict[str, Any], words: str) -> None:
    found = told(profile(**change))
    assert any(words in sentence for sentence in found), found


def test_a_handful_of_samples_tells_nothing() -> None:
    assert told(profile(9, light=250.0)) == []
    assert told(profile(light=250.0), profile(9)) == []


def test_tasks_without_classes_are_passed_by() -> None:
    assert told(profile(histograms={"a": [], "b": []}), profile(histograms={"a": [], "b": []})) == []
