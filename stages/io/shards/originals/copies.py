"""Whether a member that is kept on purpose, a mask or an array, is the original itself in another file.

Shapes: H×W×C pixels as stored, S×S the small view in which copies are compared.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from schemas.dataset import Layout
from schemas.errors import RefusedInputError, SampleError
from stages.io.images.decoding import decode_image
from stages.io.images.formats import image_extension
from stages.io.images.pixel_layout import has_alpha
from stages.io.images.spill import Pixels
from stages.io.shards.declared import EVERYTHING
from stages.io.shards.originals.numbers import CHANNELS
from stages.io.shards.sample import Member, Sample, text_of

SIDE = 16
"""S, in pixels."""

ALIKE = 0.97
"""Share of the variance of each channel that the original's channels explain where a file shows the same picture: in
any scale, in gray, or with other colours."""

FEWEST_VALUES = 48
"""Different values of a file that can be a picture; a mask has fewer."""

FLAT = 4.0
"""Standard deviation of the original below which any two flat pictures would be the same."""

SMALLEST = 12
"""Shortest side of a copy that is recognised."""

PIECE = 64
"""Bytes of the encoded original that are looked for in other members."""

LARGEST = 256 * 2**20
"""Bytes of a packed member that are unpacked at most."""

_Small = npt.NDArray[np.float32]


def refuse_copies(sample: Sample, image: Member, pixels_HWC: Pixels, layout: Layout) -> None:
    """Refuse a member that would be published and shows the original, or contains its file.

    Found are: an image of any size that shows the same picture, in gray as well; an npy or npz array of its pixels in
    any scale, channels first or last; the original's bytes inside any other file, also in zip and gzip. It does not
    recognise a crop, a mirrored copy, a latent, another view of the scene.

    Raises:
        RefusedInputError: names key and field. `thumb.jpg: drop` or `"thumb.jpg.*": keep` answer it.
    """
    small: list[_Small] = []
    for member in sample.members:
        if member is image or layout.members.get(member.field) == "drop" or len(member.data) < PIECE:
            continue
        if f"{member.field}.{EVERYTHING}" in layout.members or text_of(member.data) is not None:
            continue  # text is looked into where the image is chosen
        if not small:
            small.append(_view(pixels_HWC))
        if found := _shows(member.data, small[0], image.data, layout.max_pixels):
            raise RefusedInputError(
                f"member {member.field!r} {found}: write `{member.field}: drop` under dataset.members, or "
                f'`"{member.field}.{EVERYTHING}": keep` if it is published on purpose',
                key=sample.key,
            )


def _shows(data: bytes, small_SSC: _Small, original: bytes, max_pixels: int) -> str | None:
    """What a file has of the original, in words."""
    if data == original:
        return "is the original, byte for byte"
    middle = len(original) // 2
    piece = original[middle : middle + PIECE]
    for part in _unpacked(data):
        if len(set(piece)) > PIECE // 4 and piece in part:
            return "contains the original's file"
        if image_extension(part):
            try:
                pixels_HWC = decode_image(part, max_pixels=max_pixels).pixels
            except SampleError:
                continue
            colours = pixels_HWC[:, :, : pixels_HWC.shape[2] - has_alpha(pixels_HWC)]
            if _is_same_picture(colours, small_SSC):
                return "shows the original"
            continue
        values = _array(part) if part.startswith(b"\x93NUMPY") else None
        if values is not None and _is_same_picture(values, small_SSC):
            return "has the original's pixels"
    return None


def _unpacked(data: bytes) -> Iterator[bytes]:
    """The file itself, and the files in it where it is a zip (npz) or gzip."""
    yield data
    try:
        if data.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                left = LARGEST
                for entry in archive.infolist():
                    left -= entry.file_size
                    if left < 0:
                        return
                    yield archive.read(entry)
        elif data.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(data)) as file:
                yield file.read(LARGEST)
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return


def _view(pixels_HWC: Pixels) -> _Small:
    """S×S×C without alpha."""
    return _resized(pixels_HWC[:, :, : pixels_HWC.shape[2] - has_alpha(pixels_HWC)], SIDE)


def _resized(values_HWC: npt.NDArray[Any], side: int) -> _Small:
    resized: Any = cv2.resize(np.ascontiguousarray(values_HWC), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32).reshape(side, side, -1)


def _is_same_picture(values_HWC: npt.NDArray[Any], small_SSC: _Small) -> bool:
    """Whether each channel is a mixture of the original's."""
    side = min(SIDE, *values_HWC.shape[:2])
    if side < SMALLEST or len(np.unique(values_HWC[..., 0])) < FEWEST_VALUES or float(small_SSC.std()) < FLAT:
        return False
    wanted_NC = _resized(values_HWC, side).reshape(side * side, -1).astype(np.float64)
    original_NC = _resized(small_SSC, side).reshape(side * side, -1).astype(np.float64)
    wanted_NC, original_NC = wanted_NC - wanted_NC.mean(axis=0), original_NC - original_NC.mean(axis=0)
    mixture, *_ = np.linalg.lstsq(original_NC, wanted_NC, rcond=None)
    left_C = np.square(wanted_NC - original_NC @ mixture).sum(axis=0)
    return bool((left_C <= (1 - ALIKE) * np.square(wanted_NC).sum(axis=0)).all())


def _array(data: bytes) -> npt.NDArray[np.float32] | None:
    """The H×W×C values of an npy file, channels first or last; None where it is no picture."""
    try:
        array = np.squeeze(np.load(io.BytesIO(data), allow_pickle=False))
    except (ValueError, TypeError, KeyError, SyntaxError, EOFError, OSError, MemoryError):
        return None
    if array.dtype.kind not in "uif" or array.ndim not in (2, 3) or min(array.shape) < 1:
        return None
    channels_first = array.ndim == 3 and array.shape[0] in CHANNELS and array.shape[2] not in CHANNELS
    values_HWC = array.transpose(1, 2, 0) if channels_first else array.reshape(*array.shape[:2], -1)
    if values_HWC.shape[2] not in CHANNELS:
        return None
    colours = values_HWC[:, :, :3] if values_HWC.shape[2] > 2 else values_HWC[:, :, :1]
    return np.nan_to_num(np.asarray(colours, np.float32), nan=0, posinf=0, neginf=0)
