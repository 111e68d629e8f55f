"""Transformations: shape, type and alpha stay, what is meant to go goes."""

import numpy as np
import pytest

from stages.transforms.pixels import Band, Bits, Blur, DownUp, Gray, Lossy, Median, Transform

TRANSFORMS: list[Transform] = [
    Gray(), Lossy("JPEG", 75), Lossy("WEBP", 75), Bits(3), Blur(), Median(), DownUp(), Band(0.5, 2),
]  # fmt: skip


def picture(channels: int, dtype: type = np.uint8) -> np.ndarray:
    peak = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, peak, (24, 20, channels), endpoint=True).astype(dtype)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_shape_type_and_alpha_stay_and_the_input_is_left_alone(
    transform: Transform, channels: int, dtype: type
) -> None:
    pixels = picture(channels, dtype)
    before = pixels.copy()
    changed = transform(pixels, "k")
    assert changed.shape == pixels.shape
    assert changed.dtype == pixels.dtype
    assert np.array_equal(pixels, before)
    assert np.array_equal(changed, transform(pixels, "k"))
    if channels in (2, 4):
        assert np.array_equal(changed[:, :, -1], pixels[:, :, -1])


def test_gray_has_one_luma_in_all_colours_and_leaves_gray_as_it_is() -> None:
    pixels = picture(3)
    gray = Gray()(pixels, "k")
    assert np.array_equal(gray[:, :, 0], gray[:, :, 1])
    assert np.array_equal(gray[:, :, 0], gray[:, :, 2])
    assert gray[0, 0, 0] == round(float(pixels[0, 0] @ np.array([0.299, 0.587, 0.114])))
    assert np.array_equal(Gray()(gray, "k"), gray)


def waves(*frequencies: int) -> np.ndarray:
    """Stripes of so many waves over 32 pixels, each of 20 levels, around 128."""
    place = np.arange(32) / 32
    row = 128 + sum(20 * np.cos(2 * np.pi * frequency * place) for frequency in frequencies)
    return np.broadcast_to(np.rint(row)[None, :, None], (32, 32, 3)).astype(np.uint8)


def strength(pixels: np.ndarray, frequency: int) -> float:
    """Levels of the wave of this frequency."""
    return float(np.abs(np.fft.rfft(pixels[0, :, 0].astype(float))[frequency]) / 16)


@pytest.mark.parametrize("transform", [Blur(1.5), DownUp(0.5), Band(0.5, 2), Lossy("JPEG", 10)], ids=str)
def test_what_is_fine_goes_and_what_is_coarse_stays(transform: Transform) -> None:
    seen = transform(waves(1, 14), "k")
    assert strength(seen, 1) > 15
    assert strength(seen, 14) < 5


def test_a_high_pass_takes_the_coarse_wave_and_leaves_the_mean() -> None:
    seen = Band(0, 0.2)(waves(1, 14), "k")
    assert strength(seen, 1) < 1
    assert strength(seen, 14) > 19
    assert abs(float(seen.mean()) - 128) < 1


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_so_many_bits_leave_so_many_levels_that_reach_black_and_white(bits: int) -> None:
    levels = np.unique(Bits(bits)(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), "k"))
    assert len(levels) == 2**bits
    assert (levels[0], levels[-1]) == (0, 255)


def test_a_median_removes_single_pixels_that_stand_out() -> None:
    pixels = np.full((9, 9, 3), 100, dtype=np.uint8)
    pixels[4, 4] = 255
    assert (Median()(pixels, "k") == 100).all()


def test_a_lower_quality_loses_more() -> None:
    pixels = picture(3)
    lost = [np.abs(Lossy("JPEG", quality)(pixels, "k").astype(int) - pixels).mean() for quality in (95, 75, 50, 10)]
    assert lost == sorted(lost)
    assert lost[0] > 0
