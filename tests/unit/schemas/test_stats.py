"""Statistics that merge: a dataset's figure must not depend on how it is cut into shards."""

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.stats import Moments, psnr

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=40)


def moments_of(values: list[float]) -> Moments:
    moments = Moments()
    for value in values:
        moments = moments.add(value)
    return moments


def assert_same(left: Moments, right: Moments) -> None:
    assert left.count == right.count
    assert (left.minimum, left.maximum) == (right.minimum, right.maximum)
    assert left.mean == pytest.approx(right.mean, rel=1e-9, abs=1e-6)
    assert left.deviation == pytest.approx(right.deviation, rel=1e-6, abs=1e-3)


@settings(deadline=None)
@given(VALUES.filter(len))
def test_moments_equal_those_of_the_whole_list(values):
    moments = moments_of(values)
    assert moments.count == len(values)
    assert (moments.minimum, moments.maximum) == (min(values), max(values))
    assert moments.mean == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-6)
    assert moments.deviation == pytest.approx(statistics.pstdev(values), rel=1e-6, abs=1e-3)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=6))
def test_merged_shards_equal_the_whole_dataset(shards):
    merged = Moments()
    for shard in shards:
        merged = merged.merge(moments_of(shard))
    assert_same(merged, moments_of([value for shard in shards for value in shard]))


@settings(deadline=None)
@given(VALUES, VALUES, VALUES)
def test_order_of_merging_does_not_matter(first, second, third):
    a, b, c = moments_of(first), moments_of(second), moments_of(third)
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_same(a.merge(b), b.merge(a))


def test_deviation_survives_a_large_offset():
    # The sum of squares minus the squared sum would lose every digit here.
    moments = moments_of([1e9 + value for value in (4.0, 7.0, 13.0, 16.0)])
    assert moments.deviation == pytest.approx(math.sqrt(22.5))


def test_one_value_has_no_spread_and_none_has_no_mean_but_zero():
    assert moments_of([5.0]).deviation == 0.0
    assert Moments().deviation == 0.0
    assert Moments().merge(Moments()) == Moments()


@pytest.mark.parametrize("values", [[], [3.5], [math.inf, 1.0]])
def test_moments_survive_json_with_infinite_range(values):
    moments = moments_of(values)
    back = Moments.model_validate_json(moments.model_dump_json())
    assert (back.count, back.minimum, back.maximum) == (moments.count, moments.minimum, moments.maximum)


@pytest.mark.parametrize(
    ("mean_squared_error", "decibels"),
    [(0.0, math.inf), (255.0**2, 0.0), (1.0, 48.1308), (64.0, 30.0690)],
)
def test_psnr_in_decibels(mean_squared_error, decibels):
    assert psnr(mean_squared_error) == pytest.approx(decibels, abs=1e-4)


def test_psnr_of_16_bit_images_uses_their_peak():
    assert psnr(257.0**2, peak=65535.0) == pytest.approx(psnr(1.0))
