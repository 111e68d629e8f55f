import base64
import io

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ValidationError
from stages.report.pictures import Pair, difference, max_levels, png_data_uri, preview_sheet, viewable


def image(*shape: int, dtype=np.uint8, seed: int = 0) -> np.ndarray:
    """Values that leave room for a change of some levels."""
    top = 255 if dtype == np.uint8 else 65535
    return np.random.default_rng(seed).integers(top // 4, 3 * top // 4, shape).astype(dtype)


def test_unchanged_pixels_are_mid_gray_and_changes_are_amplified_with_their_sign():
    clean = image(2, 3, 3)
    protected = clean.copy()
    protected[0, 0, 1] += 4
    protected[1, 2, 2] -= 8
    shown = difference(clean, protected)
    assert shown.dtype == np.uint8
    assert shown[0, 0].tolist() == [128, 192, 128]
    assert shown[1, 2].tolist() == [128, 128, 0]
    assert (np.delete(shown.reshape(-1), (1, 17)) == 128).all()


def test_a_large_change_is_cut_and_never_wraps_around():
    clean = np.array([[[0], [255]]], np.uint8)
    assert difference(clean, 255 - clean).ravel().tolist() == [255, 0]


def test_sixteen_bit_changes_count_in_levels_of_255():
    clean = image(4, 4, 1, dtype=np.uint16)
    assert (difference(clean, clean + np.uint16(3 * 257)) == 128 + 3 * 16).all()
    assert max_levels(clean, clean + np.uint16(3 * 257)) == 3


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_left_out_of_the_difference(channels):
    clean = image(4, 4, channels)
    protected = clean.copy()
    protected[..., -1] += 20
    shown = difference(clean, protected)
    assert shown.shape == (4, 4, channels - 1)
    assert (shown == 128).all()
    assert max_levels(clean, protected) == 0


@pytest.mark.parametrize(
    ("clean", "protected"),
    [
        (image(4, 4, 3), image(4, 5, 3)),
        (image(4, 4, 3), image(4, 4, 1)),
        (image(4, 4, 3), image(4, 4, 3, dtype=np.uint16)),
        (image(4, 4, 5), image(4, 4, 5)),
    ],
)
def test_pairs_that_are_no_pair_are_refused_by_name(clean, protected):
    with pytest.raises(ValidationError, match=r"found"):
        difference(clean, protected)


def test_enlarging_repeats_pixels_and_invents_none():
    pixels = image(10, 20, 3)
    shown = np.asarray(viewable(pixels, side=64))
    assert shown.shape == (30, 60, 3)
    assert (shown[::3, ::3] == pixels).all()
    assert (shown[1::3, 2::3] == pixels).all()


def test_reducing_picks_pixels_and_averages_none():
    pixels = image(300, 100, 3)
    shown = np.asarray(viewable(pixels, side=64))
    assert shown.shape == (60, 20, 3)
    assert (shown == pixels[::5, ::5]).all()


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 1), (6, 6, 2), (6, 6, 3), (6, 6, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_image_becomes_an_rgb_picture(shape, dtype):
    shown = viewable(image(*shape, dtype=dtype), side=12)
    assert (shown.mode, shown.size) == ("RGB", (12, 12))


def test_transparent_parts_are_shown_on_white_and_sixteen_bits_keep_the_upper_eight():
    assert viewable(np.array([[[9, 9, 9, 0]]], np.uint8), side=1).getpixel((0, 0)) == (255, 255, 255)
    assert viewable(np.array([[[0x7FFF]]], np.uint16), side=1).getpixel((0, 0)) == (0x7F, 0x7F, 0x7F)


def test_data_uri_holds_the_very_pixels():
    picture = viewable(image(5, 5, 3), side=5)
    kind, _, data = png_data_uri(picture).partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as read:
        assert (np.asarray(read) == np.asarray(picture)).all()


def test_sheet_shows_clean_protected_difference_and_labels_of_each_sample():
    rows = []
    for index, shape in enumerate([(16, 16, 3), (8, 16, 1), (16, 8, 4)]):
        clean = image(*shape, seed=index)
        protected = clean.copy()
        protected[..., : max(1, shape[2] - 1) if shape[2] != 3 else 3] += 4
        rows.append(Pair(f"key-{index}", clean, protected, (("mask", image(8, 8, 3, seed=9)),) if index else ()))
    sheet = preview_sheet(rows, side=32)
    pixels = np.asarray(sheet)
    for _, clean, protected, labels in rows:
        for part in (clean, protected, difference(clean, protected), *(shown for _, shown in labels)):
            assert _contains(pixels, np.asarray(viewable(part, 32)))


@pytest.mark.parametrize("key", ["a" * 500, "пример/ключ-1", "line\nbreak", ""])
def test_any_key_fits_its_column(key):
    clean = image(8, 8, 3)
    sheet = preview_sheet([Pair(key, clean, clean)], side=64)
    assert sheet.size == preview_sheet([Pair("k", clean, clean)], side=64).size


def test_sheet_without_samples_is_no_error():
    assert preview_sheet([]).width > 0


def _contains(sheet: np.ndarray, part: np.ndarray) -> bool:
    """Whether the picture lies somewhere on the sheet, pixel by pixel."""
    height, width = part.shape[:2]
    starts = np.argwhere((sheet[: -height or None, : -width or None] == part[0, 0]).all(axis=-1))
    return any((sheet[y : y + height, x : x + width] == part).all() for y, x in starts)
