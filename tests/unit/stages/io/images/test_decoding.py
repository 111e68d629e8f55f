"""Images: every layout is decoded as stored or refused by name, damage and bombs too."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from schemas.errors import SampleError
from stages.io.images.decoding import decode_image, decode_map
from stages.io.images.encoding import encode_image

LIMIT = 10_000
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
RGBA = np.dstack([RGB, RNG.integers(0, 256, (9, 7, 1), dtype=np.uint8)])
GRAY = RGB[..., 0]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def cv_png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def refused(data: bytes, reason: str, max_pixels: int = LIMIT) -> str:
    with pytest.raises(SampleError) as caught:
        decode_image(data, max_pixels=max_pixels)
    assert caught.value.reason == reason, caught.value.message
    return caught.value.message


def attempt(data: bytes) -> np.ndarray | str:
    """The pixels, or the reason of the refusal."""
    try:
        return decode_image(data, max_pixels=LIMIT).pixels
    except SampleError as error:
        return error.reason


@pytest.mark.parametrize(
    ("mode", "kind", "expected", "channels"),
    [
        ("1", "PNG", "1", 1),
        ("L", "PNG", "L", 1),
        ("L", "JPEG", "L", 1),
        ("LA", "PNG", "LA", 2),
        ("RGB", "PNG", "RGB", 3),
        ("RGB", "JPEG", "RGB", 3),
        ("RGB", "BMP", "RGB", 3),
        ("RGB", "TIFF", "RGB", 3),
        ("RGB", "PPM", "RGB", 3),
        ("RGB", "WEBP", "RGB", 3),
        ("RGB", "JPEG2000", "RGB", 3),
        ("RGBA", "PNG", "RGBA", 4),
        ("RGBA", "WEBP", "RGBA", 4),
        ("CMYK", "JPEG", "CMYK", 3),
        ("CMYK", "TIFF", "CMYK", 3),
        ("P", "PNG", "P", 3),
        ("PA", "TIFF", "PA", 4),
        ("P", "GIF", "P", 3),
    ],
)
def test_every_mode_becomes_gray_or_colour(mode: str, kind: str, expected: str, channels: int) -> None:
    image = Image.fromarray(RGBA)
    image = image.convert(mode) if mode in ("LA", "PA", "RGBA") else image.convert("RGB").convert(mode)
    decoded = decode_image(saved(image, kind), max_pixels=LIMIT)
    assert decoded.mode == expected
    assert decoded.pixels.shape == (9, 7, channels)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    assert not decoded.rotated


def test_pixels_are_those_that_pillow_shows() -> None:
    for kind in ("JPEG", "GIF", "TIFF"):
        data = saved(Image.fromarray(RGB), kind)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_array_equal(decode_image(data, max_pixels=LIMIT).pixels, expected)
    bits = Image.fromarray(GRAY).convert("1")
    np.testing.assert_array_equal(
        decode_image(saved(bits, "PNG"), max_pixels=LIMIT).pixels[..., 0], np.asarray(bits) * np.uint8(255)
    )


def test_subsampled_tiff_becomes_rgb() -> None:
    data = saved(Image.new("YCbCr", (16, 16), (100, 128, 128)), "TIFF")
    decoded = decode_image(data, max_pixels=LIMIT)
    assert decoded.mode == "YCbCr"
    assert decoded.pixels.tolist() == [[[100] * 3] * 16] * 16


def test_neutral_lab_becomes_neutral_gray() -> None:
    image = Image.merge("LAB", [Image.new("L", (3, 2), level) for level in (128, 128, 128)])
    decoded = decode_image(saved(image, "TIFF"), max_pixels=LIMIT)
    assert decoded.mode == "LAB"
    assert decoded.pixels.shape == (2, 3, 3)
    assert np.ptp(decoded.pixels[0, 0].astype(int)) <= 2
    assert 110 < decoded.pixels[0, 0, 0] < 130


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 128])])
def test_palette_with_transparency_becomes_rgba(transparency: int | bytes) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    found = decode_image(saved(image, "PNG", transparency=transparency), max_pixels=LIMIT).pixels
    last = 255 if transparency == 1 else 128
    assert found.tolist() == [[[10, 20, 30, 255], [40, 50, 60, 0], [70, 80, 90, last]]]


def test_transparent_colour_becomes_alpha_in_gray_and_rgb() -> None:
    gray = saved(Image.fromarray(np.array([[5, 6, 7]], np.uint8)), "PNG", transparency=6)
    assert decode_image(gray, max_pixels=LIMIT).pixels.tolist() == [[[5, 255], [6, 0], [7, 255]]]
    colour = saved(Image.fromarray(np.array([[[1, 2, 3], [1, 2, 4]]], np.uint8)), "PNG", transparency=(1, 2, 3))
    assert decode_image(colour, max_pixels=LIMIT).pixels.tolist() == [[[1, 2, 3, 0], [1, 2, 4, 255]]]


@pytest.mark.parametrize(
    ("depth", "packed", "expected"), [(1, 0x40, [0, 255]), (2, 0x60, [85, 170]), (4, 0x6A, [102, 170])]
)
def test_transparent_sample_of_a_shallow_png_is_read_in_its_own_depth(
    depth: int, packed: int, expected: list[int]
) -> None:
    second = {1: 1, 2: 2, 4: 10}[depth]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, 0, 0, 0, 0)),
            png_chunk(b"tRNS", struct.pack(">H", second)),
            png_chunk(b"IDAT", zlib.compress(bytes([0, packed]))),
            png_chunk(b"IEND", b""),
        ]
    )
    assert decode_image(data, max_pixels=LIMIT).pixels.tolist() == [[[expected[0], 255], [expected[1], 0]]]


@pytest.mark.parametrize(("channels", "mode"), [(1, "I;16"), (3, "RGB;16"), (4, "RGBA;16")])
def test_16_bit_png_keeps_its_16_bits(channels: int, mode: str) -> None:
    pixels = RNG.integers(0, 65536, (5, 4, channels), dtype=np.uint16)
    decoded = decode_image(encode_image(pixels, "png"), max_pixels=LIMIT)
    assert decoded.mode == mode
    np.testing.assert_array_equal(decoded.pixels, pixels)


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "TIFF"), ("I;16B", "TIFF"), ("I;16", "JPEG2000")])
def test_16_bit_gray_of_other_formats_keeps_its_16_bits(mode: str, kind: str) -> None:
    pixels = RNG.integers(0, 65536, (40, 33), dtype=np.uint16)
    raw = pixels.astype(">u2").tobytes() if mode == "I;16B" else pixels.astype("<u2").tobytes()
    decoded = decode_image(saved(Image.frombytes(mode, (33, 40), raw), kind), max_pixels=LIMIT)
    assert decoded.pixels.dtype == np.uint16
    assert decoded.pixels.dtype.isnative
    np.testing.assert_array_equal(decoded.pixels[..., 0], pixels)


def test_depth_that_would_be_lost_is_refused_with_a_remedy() -> None:
    deep = RNG.integers(0, 65536, (20, 20, 3), dtype=np.uint16)
    assert "convert it" in refused(cv2.imencode(".tiff", deep)[1].tobytes(), "unsupported-mode")
    refused(cv2.imencode(".ppm", deep)[1].tobytes(), "unsupported-mode")
    refused(cv2.imencode(".jp2", cv2.resize(deep, (64, 64)))[1].tobytes(), "unsupported-mode")
    refused(saved(Image.new("I", (3, 3)), "TIFF"), "unsupported-mode")
    refused(saved(Image.new("F", (3, 3)), "TIFF"), "unsupported-mode")
    gray_alpha = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 4, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + gray_alpha + png_chunk(b"IDAT", zlib.compress(bytes(5))) + png_chunk(b"IEND", b"")
    refused(data, "unsupported-mode")


def test_formats_that_are_not_read_are_named_unsupported() -> None:
    refused(saved(Image.new("RGB", (16, 16)), "ICO"), "unsupported-mode")
    refused(cv2.imencode(".hdr", RGB)[1].tobytes(), "unsupported-mode")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_and_pages_are_refused(kind: str) -> None:
    frames = [Image.fromarray(np.full((6, 6, 3), level, np.uint8)) for level in (0, 100, 200)]
    refused(saved(frames[0], kind, save_all=True, append_images=frames[1:]), "animated-image")


def test_a_phone_picture_with_a_second_picture_is_its_first() -> None:
    frames = [Image.fromarray(np.full((6, 6, 3), level, np.uint8)) for level in (0, 200)]
    data = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert decode_image(data, max_pixels=LIMIT).pixels.max() < 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_reported_and_not_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    plain = decode_image(saved(Image.fromarray(RGB), kind), max_pixels=LIMIT)
    turned = decode_image(saved(Image.fromarray(RGB), kind, exif=exif), max_pixels=LIMIT)
    assert turned.rotated == (orientation != 1)
    np.testing.assert_array_equal(turned.pixels, plain.pixels)


def test_metadata_is_not_published() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "secret place")
    for kind, options in (
        ("JPEG", {"exif": exif, "comment": b"secret place"}),
        ("PNG", {"exif": exif, "pnginfo": text}),
    ):
        data = saved(Image.fromarray(RGB), kind, **options)
        assert b"secret place" in data
        for encoding in ("png", "webp"):
            assert b"secret" not in encode_image(decode_image(data, max_pixels=LIMIT).pixels, encoding)


def test_one_pixel() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        assert decode_image(saved(Image.new("RGB", (1, 1)), kind), max_pixels=1).pixels.shape == (1, 1, 3)


def bombs() -> dict[str, bytes]:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    webp = (
        b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<IIHBHB", 10, 0, 0x9C3F, 0, 0x9C3F, 0) + bytes(8)
    )
    gif = (
        b"GIF89a"
        + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0)
    )
    bmp = bytearray(saved(Image.new("RGB", (2, 2)), "BMP"))
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    jpeg = bytearray(saved(Image.new("RGB", (16, 16)), "JPEG"))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
    return {
        "png": png,
        "webp": webp,
        "gif": gif + b"\x02\x02\x44\x01\x00;",
        "bmp": bytes(bmp),
        "jpg": bytes(jpeg),
        "ppm": b"P6 60000 60000 255\n",
    }


@pytest.mark.parametrize("kind", sorted(bombs()))
def test_a_small_file_with_a_huge_header_is_never_decoded(kind: str) -> None:
    data = bombs()[kind]
    assert len(data) < 1000
    refused(data, "decompression-bomb", max_pixels=64 * 2**20)


def test_the_pixel_limit_is_ours_and_names_the_remedy() -> None:
    data = saved(Image.fromarray(RGB), "PNG")
    assert decode_image(data, max_pixels=63).pixels.shape == (9, 7, 3)
    assert "dataset.max_pixels (62)" in refused(data, "decompression-bomb", max_pixels=62)


def test_a_limit_above_pillows_own_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for kind in ("PNG", "JPEG", "BMP", "PPM"):
        assert decode_image(saved(Image.fromarray(RGB), kind), max_pixels=63).pixels.shape == (9, 7, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_a_file_cut_short_anywhere_is_refused_or_whole(kind: str) -> None:
    pixels = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    data = saved(Image.fromarray(pixels), kind)
    whole = decode_image(data, max_pixels=LIMIT).pixels
    for length in sorted({*range(0, len(data), max(1, len(data) // 60)), len(data) - 1, len(data) - 4, len(data) - 13}):
        found = attempt(data[:length])
        if isinstance(found, str):
            assert found in {"truncated-image", "corrupt-image"}
        else:
            np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_cut_in_half_is_truncated(kind: str) -> None:
    data = saved(Image.fromarray(RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)), kind)
    refused(data[: len(data) // 2], "truncated-image")


def test_png_without_its_end_or_with_a_flipped_bit_is_refused() -> None:
    data = saved(Image.fromarray(RGB), "PNG")
    refused(data[:-12], "truncated-image")
    flipped = bytearray(data)
    flipped[data.index(b"IDAT") + 10] ^= 1
    refused(bytes(flipped), "corrupt-image")


MEGABYTES = b"a" * 2_000_000
ANCILLARY = {
    "zTXt": png_chunk(b"zTXt", b"k\0\0" + zlib.compress(MEGABYTES)),
    "iTXt": png_chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(MEGABYTES)),
    "iCCP": png_chunk(b"iCCP", b"k\0\0" + zlib.compress(RNG.bytes(2_000_000))),
    "70 MB of tEXt": png_chunk(b"tEXt", b"k\0" + MEGABYTES) * 35,
    "zTXt of no known method": png_chunk(b"zTXt", b"k\0\1rubbish"),
    "short pHYs": png_chunk(b"pHYs", b"\0"),
    "short gAMA": png_chunk(b"gAMA", b"\0"),
    "eXIf of rubbish": png_chunk(b"eXIf", b"rubbish"),
    **{
        f"checksum of {kind}": png_chunk(kind.encode(), b"ab")[:-1] + b"!"
        for kind in ("tEXt", "pHYs", "eXIf", "iCCP", "vpAg")
    },
}
"""Chunks that say nothing of the pixels, and that Pillow refuses."""


@pytest.mark.parametrize("chunk", ANCILLARY.values(), ids=ANCILLARY.keys())
@pytest.mark.parametrize(
    "image", [saved(Image.fromarray(RGB), "PNG"), cv_png(RGB.astype(np.uint16) * 257)], ids=[8, 16]
)
def test_what_a_png_says_beside_its_pixels_does_not_make_it_damaged(image: bytes, chunk: bytes) -> None:
    expected = decode_image(image, max_pixels=LIMIT).pixels
    for place in (33, len(image) - 12):  # behind the header, and before the end
        found = decode_image(image[:place] + chunk + image[place:], max_pixels=LIMIT)
        np.testing.assert_array_equal(found.pixels, expected)


def test_a_png_whose_text_is_left_out_keeps_palette_transparency_and_orientation() -> None:
    text = ANCILLARY["zTXt"]
    palette = saved(Image.fromarray(RGB).quantize(16), "PNG", transparency=3)
    exif = Image.Exif()
    exif[274] = 6
    turned = saved(Image.fromarray(RGB), "PNG", exif=exif)
    for image in (palette, turned):
        plain, found = (decode_image(data, max_pixels=LIMIT) for data in (image, image[:33] + text + image[33:]))
        np.testing.assert_array_equal(found.pixels, plain.pixels)
        assert (found.mode, found.rotated) == (plain.mode, plain.rotated)
    assert decode_image(turned[:33] + text + turned[33:], max_pixels=LIMIT).rotated


def test_a_bomb_in_the_text_of_a_png_is_never_unpacked() -> None:
    image = saved(Image.fromarray(RGB), "PNG")
    squeeze = zlib.compressobj()
    bomb = b"".join([*(squeeze.compress(MEGABYTES) for _ in range(100)), squeeze.flush()])
    chunks = b"".join(png_chunk(kind, b"k\0\0" + bomb) for kind in (b"zTXt", b"iCCP"))
    tracemalloc.start()
    try:
        decode_image(image[:33] + chunks + image[33:], max_pixels=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_text_of_a_mask_does_not_make_it_damaged() -> None:
    mask = saved(Image.fromarray(GRAY // 64).convert("P"), "PNG")
    found = decode_map(mask[:33] + ANCILLARY["iTXt"] + mask[33:], max_pixels=LIMIT)
    np.testing.assert_array_equal(found, decode_map(mask, max_pixels=LIMIT))


@pytest.mark.parametrize("kind", [b"tRNS", b"acTL", b"fdAT", b"CgBI"])
def test_a_damaged_chunk_that_has_a_part_in_the_pixels_is_refused(kind: bytes) -> None:
    image = saved(Image.fromarray(RGB), "PNG")
    chunk = png_chunk(kind, bytes(6))[:-1] + b"!"
    assert f"checksum of chunk {kind.decode()}" in refused(image[:33] + chunk + image[33:], "corrupt-image")


def test_what_stands_behind_the_end_or_in_the_metadata_of_other_formats_is_passed_by() -> None:
    image = Image.fromarray(RGB)
    for kind in ("JPEG", "WEBP", "TIFF", "BMP"):
        plain = saved(image, kind)
        expected = decode_image(plain, max_pixels=LIMIT).pixels
        np.testing.assert_array_equal(decode_image(plain + bytes(500), max_pixels=LIMIT).pixels, expected)
    profile = RNG.bytes(2_000_000)
    for kind in ("JPEG", "WEBP", "TIFF"):
        data = saved(image, kind, icc_profile=profile)
        expected = decode_image(saved(image, kind), max_pixels=LIMIT).pixels
        np.testing.assert_array_equal(decode_image(data, max_pixels=LIMIT).pixels, expected)


def test_a_jpeg_without_its_end_is_truncated_for_nobody_can_tell_what_is_missing() -> None:
    refused(saved(Image.fromarray(RGB), "JPEG")[:-2], "truncated-image")


def test_corrupt_jpeg_is_refused() -> None:
    data = saved(Image.fromarray(RGB), "JPEG")
    refused(data[:2] + b"\xff\xd9", "corrupt-image")
    refused(data.replace(b"\xff\xda", b"\xff\xff"), "corrupt-image")
    refused(data[:20] + bytes(300), "corrupt-image")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_never_an_image(data: bytes) -> None:
    with pytest.raises(SampleError):
        decode_image(data, max_pixels=LIMIT)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"]),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_images_give_pixels_or_a_named_error(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(saved(Image.fromarray(RGB), kind))
    for position, value in changes:
        data[position % len(data)] = value
    found = attempt(bytes(data))
    assert found.endswith(("-image", "-bomb", "-mode")) if isinstance(found, str) else found.ndim == 3
