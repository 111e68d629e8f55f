"""What looks like an image, by its first bytes, and what does not."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from schemas.errors import SampleError
from stages.io.images.decoding import decode_image
from stages.io.images.formats import looks_like_image, unread_format

RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
GRAY = RGB[..., 0]


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".ppm"])
def test_what_pillow_or_opencv_opens_looks_like_an_image(extension: str) -> None:
    assert looks_like_image(cv2.imencode(extension, RGB)[1].tobytes())


@pytest.mark.parametrize("extension", [".hdr", ".pam", ".pfm", ".ras", ".pgm"])
def test_what_only_opencv_opens_looks_like_an_image(extension: str) -> None:
    pixels = GRAY.astype(np.float32) if extension == ".pfm" else GRAY if extension == ".pgm" else RGB
    assert looks_like_image(cv2.imencode(extension, pixels)[1].tobytes())


@pytest.mark.parametrize("start", [b"\0\0\0 ftypavif\0\0", b"\xff\x0a\xfa", b"\x76\x2f\x31\x01\x02"])
def test_formats_that_some_builds_lack_look_like_images_all_the_same(start: bytes) -> None:
    assert looks_like_image(start + bytes(20))


def test_images_that_are_text_look_like_images() -> None:
    assert looks_like_image(b"P3\n2 1\n255\n1 2 3 4 5 6\n")
    assert looks_like_image(b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n"a c #ffffff",\n"a"\n};\n')


@pytest.mark.parametrize(
    "text", [b"", b"3", b'{"shape": 3}', b"BMW, red", b"P1 is the first", b"GIF or JPEG", b"\x93NUMPY"]
)
def test_texts_and_arrays_do_not_look_like_images(text: bytes) -> None:
    assert not looks_like_image(text)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "camera raw"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"IIRO\x08\0\0\0", "camera raw"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (bytes(128) + b"DICM", "DICOM"),
        (bytes(344) + b"n+1\0", "NIfTI"),
        (b"8BPS\0\1", "Photoshop"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
    ],
)
def test_formats_that_are_not_read_are_named_with_what_to_do(start: bytes, name: str) -> None:
    with pytest.raises(
        SampleError, match=f"the format {name} is not supported; convert it to an 8- or 16-bit PNG"
    ) as e:
        decode_image(start + bytes(200), max_pixels=10_000)
    assert e.value.reason == "unsupported-mode"


@pytest.mark.parametrize("tags", [{50706: b"\1\4\0\0"}, {254: 1}], ids=["DNG", "a preview first"])
def test_a_raw_file_that_looks_like_a_tiff_is_not_taken_for_its_preview(tags: dict[int, object]) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[tag] = value
    target = io.BytesIO()
    Image.fromarray(RGB).save(target, "TIFF", tiffinfo=info)
    with pytest.raises(SampleError, match="the format camera raw is not supported"):
        decode_image(target.getvalue(), max_pixels=10_000)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".ppm"])
def test_no_format_that_is_read_has_the_name_of_one_that_is_not(extension: str) -> None:
    assert unread_format(cv2.imencode(extension, RGB)[1].tobytes()) is None
