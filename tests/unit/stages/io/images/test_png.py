"""The PNG that is written here: every reader sees the pixels, and the check finds every damage."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from stages.io.images import encoding
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import encode_image

LAYOUTS = [(channels, depth) for depth in (np.uint8, np.uint16) for channels in (1, 2, 3, 4)]


def image(channels: int, dtype: type, height: int = 23, width: int = 17) -> np.ndarray:
    rng = np.random.default_rng([channels, height])
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)


@pytest.mark.parametrize(("channels", "dtype"), LAYOUTS)
def test_pillow_and_opencv_see_the_pixels(channels: int, dtype: type) -> None:
    pixels = image(channels, dtype)
    data = encoding.encode_png(pixels)
    assert encoding.shows(data, pixels)
    assert encoding.encode_png(pixels.copy()) == data
    if dtype == np.uint8:
        shown = np.array(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(shown.reshape(pixels.shape), pixels)
    if channels != 2:
        flag = cv2.IMREAD_UNCHANGED
        theirs = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flag)).reshape(pixels.shape)
        order = [2, 1, 0, 3][:channels] if channels >= 3 else [0]
        np.testing.assert_array_equal(theirs[..., order], pixels)


@pytest.mark.parametrize(("channels", "dtype"), [each for each in LAYOUTS if each != (2, np.uint16)])
def test_its_pixels_are_those_of_opencvs_png_before(channels: int, dtype: type) -> None:
    pixels = image(channels, dtype)
    if channels == 2:
        target = io.BytesIO()
        Image.fromarray(pixels).save(target, "PNG")
        before = target.getvalue()
    else:
        order = [2, 1, 0, 3][:channels] if channels >= 3 else [0]
        before = cv2.imencode(".png", np.ascontiguousarray(pixels[..., order]))[1].tobytes()
    found = [decode_image(data, max_pixels=10_000) for data in (before, encode_image(pixels, "png"))]
    np.testing.assert_array_equal(found[0].pixels, found[1].pixels)
    assert found[0].mode == found[1].mode


@pytest.mark.parametrize(("channels", "dtype"), LAYOUTS)
@pytest.mark.parametrize("place", [(0, 0), (11, 16), (22, 3)])
def test_one_level_of_one_pixel_is_a_difference(channels: int, dtype: type, place: tuple[int, int]) -> None:
    pixels = image(channels, dtype)
    data = encoding.encode_png(pixels)
    for channel in range(channels):
        other = pixels.copy()
        other[(*place, channel)] ^= 1
        assert not encoding.shows(data, other)
    assert not encoding.shows(data, pixels[:-1])
    assert not encoding.shows(data, np.concatenate([pixels, pixels[-1:]]))


def test_any_byte_that_changes_is_found() -> None:
    pixels = image(3, np.uint8, 5, 4)
    data = encoding.encode_png(pixels)
    for position in range(len(data)):
        assert not encoding.shows(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :], pixels), (
            position
        )
    for position in range(len(data)):
        assert not encoding.shows(data[:position], pixels)
    assert not encoding.shows(data + b"\0", pixels)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "rows",
    [
        lambda rows: rows + b"\2",
        lambda rows: rows[:-1],
        lambda rows: b"\0" + rows[1:],  # the first row is the same without a filter, but this writer has only one
        lambda rows: rows + bytes(10**7),
    ],
)
def test_a_whole_file_with_other_rows_is_refused(rows) -> None:  # type: ignore[no-untyped-def]
    pixels = image(1, np.uint8, 6, 5)
    filtered = b"".join(
        b"\2" + (row - above).tobytes()
        for row, above in zip(pixels[..., 0], [np.zeros(5, np.uint8), *pixels[:-1, :, 0]], strict=True)
    )
    head = encoding.encode_png(pixels)[:33]
    end = chunk(b"IEND", b"")
    assert encoding.shows(head + chunk(b"IDAT", zlib.compress(filtered)) + end, pixels)
    assert not encoding.shows(head + chunk(b"IDAT", zlib.compress(rows(filtered))) + end, pixels)


def test_the_bytes_are_cut_into_chunks_by_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = image(3, np.uint16, 40, 9)
    monkeypatch.setattr(encoding, "STRIP_PIXELS", 50)
    data = encoding.encode_png(pixels)
    assert data.count(b"IDAT") > 5
    assert encoding.shows(data, pixels)
    np.testing.assert_array_equal(decode_image(data, max_pixels=1000).pixels, pixels)
