"""What looks like an image, by its first bytes, and what does not."""

import cv2
import numpy as np
import pytest

from stages.io.images.formats import looks_like_image

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
