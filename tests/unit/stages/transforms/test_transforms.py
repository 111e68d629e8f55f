"""Transformations: shape, type and alpha stay, what is meant to go goes."""

import numpy as np
import pytest

from stages.transforms.base import Transform
from stages.transforms.gray import Gray

TRANSFORMS: list[Transform] = [Gray()]


def picture(channels: int, dtype: type = np.uint8) -> np.ndarray:
    peak = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, peak, (24, 20, channels), endpoint=True).astype(dtype)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_shape_type_and_alpha_stay_and_the_input_is_left_alone(transform: Transform, channels: int) -> None:
    pixels = picture(channels)
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
