"""Lossless encoding is lossless, in every layout, without metadata."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.errors import SampleError
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import encode_image, same_layout

LIMIT = 10_000
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
RGBA = np.dstack([RGB, RNG.integers(0, 256, (9, 7, 1), dtype=np.uint8)])
GRAY = RGB[..., 0]


def png_chunks(data: bytes) -> list[bytes]:
    names, position = [], 8
    while position < len(data):
        names.append(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return names


arrays = st.tuples(st.sampled_from([np.uint8, np.uint16]), st.integers(1, 4)).flatmap(
    lambda kind: hnp.arrays(kind[0], st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(kind[1])))
)


@settings(max_examples=150, deadline=None)
@given(pixels=arrays)
def test_png_gives_back_every_layout_exactly(pixels: np.ndarray) -> None:
    if pixels.dtype == np.uint16 and pixels.shape[2] == 2:
        with pytest.raises(SampleError, match="16-bit gray with alpha"):
            encode_image(pixels, "png")
        return
    data = encode_image(pixels, "png")
    found = decode_image(data, max_pixels=LIMIT).pixels
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels)
    assert data == encode_image(pixels.copy(), "png")
    assert set(png_chunks(data)) == {b"IHDR", b"IDAT", b"IEND"}


@settings(max_examples=150, deadline=None)
@given(pixels=arrays.filter(lambda pixels: pixels.dtype == np.uint8), opaque=st.booleans())
def test_webp_gives_back_every_8_bit_layout_exactly(pixels: np.ndarray, opaque: bool) -> None:
    if opaque and pixels.shape[2] in (2, 4):
        pixels[..., -1] = 255
    data = encode_image(pixels, "webp")
    found = decode_image(data, max_pixels=LIMIT).pixels
    np.testing.assert_array_equal(same_layout(found, pixels.shape[2]), pixels)
    assert data == encode_image(pixels.copy(), "webp")


def test_colours_under_transparent_pixels_survive_webp() -> None:
    pixels = RGBA.copy()
    pixels[..., 3] = 0
    np.testing.assert_array_equal(decode_image(encode_image(pixels, "webp"), max_pixels=LIMIT).pixels, pixels)


def test_a_photo_survives_both_encodings() -> None:
    smooth = cv2.resize(RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8), (301, 257), interpolation=cv2.INTER_CUBIC)
    for encoding in ("png", "webp"):
        found = decode_image(encode_image(smooth, encoding), max_pixels=smooth.size).pixels
        np.testing.assert_array_equal(found, smooth)


def test_webp_refuses_16_bits_and_sides_over_its_limit() -> None:
    with pytest.raises(SampleError, match=r"protect\.encoding to png"):
        encode_image(np.zeros((2, 2, 3), np.uint16), "webp")
    with pytest.raises(SampleError, match=r"16384.*protect\.encoding to png"):
        encode_image(np.zeros((1, 16384, 3), np.uint8), "webp")
    assert decode_image(encode_image(np.zeros((1, 16383, 3), np.uint8), "webp"), max_pixels=LIMIT * 2).pixels.any() == 0


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 5), (0, 3, 3), (3, 3, 0)])
def test_encode_refuses_what_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="H×W×C"):
        encode_image(np.zeros(shape, np.uint8), "png")
    with pytest.raises(ValueError, match="float64"):
        encode_image(np.zeros((2, 2, 3)), "png")  # type: ignore[arg-type]


def test_same_layout_never_hides_a_difference() -> None:
    assert same_layout(RGB, 1).shape[2] == 3
    assert same_layout(RGBA, 3).shape[2] == 4
    coloured = np.repeat(GRAY[..., None], 3, axis=2)
    np.testing.assert_array_equal(same_layout(coloured, 2), np.dstack([GRAY, np.full_like(GRAY, 255)]))
