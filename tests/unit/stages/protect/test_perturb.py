"""From image to canonical view and from δ to integer pixels: the exact bound, at every size, depth and layout."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.protection import Protection
from stages.io.images.decoding import decode_image
from stages.io.images.pixel_layout import bound_of, canonical_view
from stages.protect.perturb import add_perturbation
from tests import builders

depths = st.sampled_from([np.uint8, np.uint16])
epsilons = st.one_of(
    st.integers(1, 32).map(lambda level: level / 255),
    st.floats(1 / 255, 32 / 255),
    st.tuples(st.integers(1, 31), st.sampled_from([0.4999, 0.5, 0.5001, 0.9, 0.999])).map(
        lambda level: (level[0] + level[1]) / 255
    ),
)


def full(value: int, height: int, width: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    return np.full((height, width, channels), value, dtype)


def flat(value: float, resolution: int = 4) -> torch.Tensor:
    return torch.full((3, resolution, resolution), value)


def exact_bound(peak: int, epsilon: float) -> int:
    return int(Fraction(peak) * Fraction(epsilon) + Fraction(1, 10**6))


def allowed(pixel: int, delta: float, peak: int, epsilon: float) -> set[int]:
    """docs/method.md, "The bound, exactly", in fractions; at a tie both neighbours are right."""
    bound = exact_bound(peak, epsilon)
    moved = pixel + peak * Fraction(delta)
    slack = Fraction(peak) / 2**22
    found = set()
    for value in (moved - slack, moved, moved + slack):
        whole = value.numerator // value.denominator
        rest = value - whole
        found |= {whole} if rest < Fraction(1, 2) else {whole + 1} if rest > Fraction(1, 2) else {whole, whole + 1}
    return {min(max(value, pixel - bound, 0), pixel + bound, peak) for value in found}


def near_edges(peak: int, bound: int) -> st.SearchStrategy[int]:
    """Pixels anywhere, and often within the bound of black and white."""
    return st.one_of(st.integers(0, peak), st.integers(0, bound + 1), st.integers(peak - bound - 1, peak))


@settings(max_examples=150, deadline=None)
@given(dtype=depths, epsilon=epsilons, channels=st.integers(1, 4), data=st.data())
def test_every_pixel_is_the_rounded_sum_cut_to_bound_and_range(
    dtype: type, epsilon: float, channels: int, data: st.DataObject
) -> None:
    peak = int(np.iinfo(dtype).max)
    bound = exact_bound(peak, epsilon)
    pixels = data.draw(hnp.arrays(dtype, (4, 4, channels), elements=near_edges(peak, bound)))
    limit = float(np.float32(epsilon))
    near_ties = st.tuples(st.integers(-bound - 1, bound), st.sampled_from([-1e-4, 0.0, 1e-4])).map(
        lambda tie: max(-limit, min(limit, float(np.float32((tie[0] + 0.5 + tie[1]) / peak))))
    )
    anywhere = st.floats(-limit, limit, width=32)
    levels = st.one_of(anywhere, near_ties, st.sampled_from([limit, -limit, 0.0]))
    gray = channels <= 2
    delta = data.draw(hnp.arrays(np.float32, (1 if gray else 3, 4, 4), elements=levels))
    delta = np.repeat(delta, 3, axis=0) if gray else delta
    found = add_perturbation(pixels, torch.from_numpy(delta), epsilon)
    assert found.dtype == dtype
    assert found.shape == pixels.shape
    colours = channels - (channels in (2, 4))
    np.testing.assert_array_equal(found[..., colours:], pixels[..., colours:])
    for row, column, channel in np.ndindex(4, 4, colours):
        expected = allowed(int(pixels[row, column, channel]), float(delta[channel, row, column]), peak, epsilon)
        assert int(found[row, column, channel]) in expected


@settings(max_examples=80, deadline=None)
@given(
    dtype=depths,
    epsilon=epsilons,
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
def test_resizing_delta_never_leaves_the_bound(
    dtype: type, epsilon: float, height: int, width: int, channels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    peak = int(np.iinfo(dtype).max)
    pixels = rng.integers(0, peak, (height, width, channels), dtype=dtype, endpoint=True)
    # Every δ at its limit: where resizing overshoots, it overshoots here.
    delta = torch.from_numpy(np.where(rng.random((3, 16, 16)) < 0.5, epsilon, -epsilon).astype(np.float32))
    found = add_perturbation(pixels, delta, epsilon)
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).max() <= exact_bound(peak, epsilon)
    if channels in (2, 4):
        np.testing.assert_array_equal(found[..., -1], pixels[..., -1])


def test_a_delta_beyond_epsilon_is_cut_to_it() -> None:
    found = add_perturbation(full(100, 4, 4, 3), flat(0.5), 8 / 255)
    assert set(found.flatten().tolist()) == {108}


@settings(max_examples=100)
@given(epsilon=epsilons)
def test_the_bound_of_8_bit_pixels_is_the_configurations(epsilon: float) -> None:
    pixels = full(0, 1, 1, 3)
    assert bound_of(pixels, epsilon) == Protection(epsilon=epsilon).bound == exact_bound(255, epsilon)


@pytest.mark.parametrize("level", range(1, 33))
def test_whole_levels_survive_the_division_by_255(level: int) -> None:
    assert bound_of(full(0, 1, 1, 3), level / 255) == level
    assert bound_of(full(0, 1, 1, 1, np.uint16), level / 255) == 257 * level


def test_an_epsilon_written_with_nine_digits_is_the_whole_level_that_is_meant() -> None:
    assert bound_of(full(0, 1, 1, 3), 0.031372549) == 8
    assert bound_of(full(0, 1, 1, 3), 0.0313) == 7


@pytest.mark.parametrize("level", [1, 7, 8, 32])
def test_the_whole_bound_is_used_up_and_down(level: int) -> None:
    epsilon = level / 255
    for sign in (1, -1):
        found = add_perturbation(full(100, 4, 4, 3), flat(sign * epsilon), epsilon)
        assert set(found.flatten().tolist()) == {100 + sign * level}


def test_black_and_white_are_not_left() -> None:
    assert not add_perturbation(full(0, 4, 4, 3), flat(-8 / 255), 8 / 255).any()
    assert add_perturbation(full(255, 4, 4, 3), flat(8 / 255), 8 / 255).min() == 255
    assert add_perturbation(full(65_535, 4, 4, 1, np.uint16), flat(8 / 255), 8 / 255).min() == 65_535


def test_nothing_is_darkened_or_brightened_on_average() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(8, 248, (128, 128, 3), dtype=np.uint8)
    delta = torch.from_numpy(rng.uniform(-8 / 255, 8 / 255, (3, 128, 128)).astype(np.float32))
    up = add_perturbation(pixels, delta, 8 / 255).astype(int) - pixels
    down = add_perturbation(pixels, -delta, 8 / 255).astype(int) - pixels
    np.testing.assert_array_equal(up, -down)
    assert abs(up.mean()) < 0.05
    # Rounding, not cutting: the mean size of Δ is that of δ (4 levels), where truncation gives 3.5.
    assert np.abs(up).mean() == pytest.approx(4, abs=0.03)


@pytest.mark.parametrize("level", [0.5, 2.5, 7.5])
def test_halves_are_not_all_rounded_the_same_way(level: float) -> None:
    pixels = np.arange(16, 240, dtype=np.uint8).reshape(14, 16, 1)
    both = [add_perturbation(pixels, flat(sign * level / 255, 16)[:, :14], 8 / 255) for sign in (1, -1)]
    up, down = (found.astype(int) - pixels for found in both)
    assert up.mean() == pytest.approx(level, abs=0.01)
    assert down.mean() == pytest.approx(-level, abs=0.01)


def test_a_gray_image_takes_one_channel_of_delta_and_keeps_its_layout() -> None:
    pixels = builders.picture(0, 5, 9, 2)
    found = add_perturbation(pixels, flat(4 / 255), 8 / 255)
    np.testing.assert_array_equal(found[..., 0], pixels[..., 0] + 4)
    np.testing.assert_array_equal(found[..., 1], pixels[..., 1])


def test_the_input_is_left_as_it_is() -> None:
    pixels = builders.picture(0, 16, 16)
    before = pixels.copy()
    view = canonical_view(pixels, 16)
    found = add_perturbation(pixels, flat(8 / 255, 16), 8 / 255)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(view, before)
    assert not np.shares_memory(found, pixels)


def test_the_view_of_an_8_bit_image_at_the_canonical_size_is_the_image() -> None:
    pixels = builders.picture(0, 16, 16, 4)
    np.testing.assert_array_equal(canonical_view(pixels[..., :3], 16), pixels[..., :3])
    np.testing.assert_array_equal(canonical_view(pixels, 16), pixels[..., :3])
    gray = canonical_view(pixels[..., :2], 16)
    for channel in range(3):
        np.testing.assert_array_equal(gray[..., channel], pixels[..., 0])


def test_the_view_of_a_16_bit_image_at_the_canonical_size_is_its_8_bit_twin() -> None:
    pixels = builders.picture(0, 16, 16)
    np.testing.assert_array_equal(canonical_view(pixels.astype(np.uint16) * 257, 16), pixels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1), (7, 200), (16, 17), (64, 48), (300, 200)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_view_of_any_size_and_layout_is_square_rgb(height: int, width: int, channels: int) -> None:
    view = canonical_view(builders.picture(0, height, width, channels), 16)
    assert view.shape == (16, 16, 3)
    assert view.dtype == np.uint8
    if channels <= 2:
        np.testing.assert_array_equal(view[..., 0], view[..., 2])


def test_the_view_keeps_flat_colours_and_averages_fine_patterns() -> None:
    flat_colour = np.broadcast_to(np.array([10, 128, 250], np.uint8), (37, 91, 3))
    assert np.unique(canonical_view(flat_colour, 16).reshape(-1, 3), axis=0).tolist() == [[10, 128, 250]]
    checks = (255 * (np.indices((48, 48)).sum(axis=0) % 2)).astype(np.uint8)[..., None]
    # Without antialiasing every third pixel would be picked: black or white.
    assert np.abs(canonical_view(checks, 16).astype(int) - 127.5).max() <= 16


def test_alpha_does_not_reach_the_view() -> None:
    pixels = builders.picture(0, 40, 30, 4)
    cleared = pixels.copy()
    cleared[..., 3] = 0
    np.testing.assert_array_equal(canonical_view(pixels, 16), canonical_view(cleared, 16))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_bound_holds_on_the_published_bytes(channels: int) -> None:
    pixels = builders.picture(1, 21, 34, channels)
    delta = torch.empty(3, 16, 16).uniform_(-8 / 255, 8 / 255, generator=torch.Generator().manual_seed(0))
    again = decode_image(builders.png(add_perturbation(pixels, delta, 8 / 255)), max_pixels=10_000).pixels
    change = np.abs(again.astype(int) - pixels)
    assert 0 < change.max() <= 8
