"""Pictures for people: the perturbation made visible, and clean, protected and difference side by side.

Legend: H, W height and width in pixels; C channels: 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGBA).
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from schemas.errors import ValidationError
from schemas.plans import ProtectPlan, PublishPlan
from schemas.records import Quarantined, ShardRef
from stages.ingest.ingest import ReadSample, read_decoded
from stages.io.images.encoding import same_layout
from stages.io.images.spill import Pixels
from stages.io.shards.layout import published_layout
from stages.io.store.store import Store
from stages.perturbers.perturber import Perturber
from stages.protect.protect import write_protected
from stages.tasks.kinds import kinds_of


class Pair(NamedTuple):
    """One sample."""

    key: str
    clean: Pixels
    """H×W×C."""
    protected: Pixels
    """H×W×C, in the same layout."""
    labels: tuple[tuple[str, Pixels], ...] = ()
    """Name and picture, H×W×3, of each label that has a value per pixel."""


PICTURES = 6
"""Samples that the report shows."""


def sample_pairs(source: Store, ref: ShardRef, output: Store, plan: PublishPlan, count: int = PICTURES) -> list[Pair]:
    """The first samples of a published shard beside their originals, with pictures of their labels.

    Returns:
        Up to `count` pairs.
    """
    with TemporaryDirectory(prefix="mtlue-pairs-") as directory:
        clean, protected = Path(directory, "clean"), Path(directory, "protected")
        source.get(ref.name, clean)
        output.get(ref.output_name, protected)
        return _pairs(clean, protected, ref, plan, count)


def made_pairs(
    source: Store, ref: ShardRef, protect: ProtectPlan, plan: PublishPlan, perturber: Perturber, count: int = PICTURES
) -> list[Pair]:
    """The first samples of a shard as the protecting step would publish them, beside their originals.

    Returns:
        Up to `count` pairs; nothing of it is kept.
    """
    with TemporaryDirectory(prefix="mtlue-pairs-") as directory:
        clean, protected = Path(directory, "clean"), Path(directory, f"protected.{protect.output_format}")
        source.get(ref.name, clean)
        write_protected(clean, ref.name, protected, protect, perturber, limit=count)
        return _pairs(clean, protected, ref, plan, count)


def _pairs(clean_path: Path, protected_path: Path, ref: ShardRef, plan: PublishPlan, count: int) -> list[Pair]:
    protected: dict[str, Pixels] = {}
    for _, found in read_decoded(protected_path, ref.output_name, published_layout(plan.layout, plan.encoding), []):
        if isinstance(found, ReadSample):
            protected[found.sample.key] = found.image.pixels
        if len(protected) == count:
            break
    pairs: list[Pair] = []
    tasks = [task for task in plan.tasks if task.per_pixel]
    for _, found in read_decoded(clean_path, ref.name, plan.layout, tasks):
        if isinstance(found, Quarantined) or found.sample.key not in protected:
            continue
        clean = found.image.pixels
        shown = zip(tasks, kinds_of(tasks), found.labels, strict=True)
        labels = [(task.name, kind.picture(label)) for task, kind, label in shown if not kind.is_missing(label)]
        again = same_layout(protected[found.sample.key], clean.shape[2])
        pairs.append(Pair(found.sample.key, clean, again, tuple(labels)))
        if len(pairs) == len(protected):
            break
    return pairs


GAP = 12  # pixels between the sheet's pictures
CAPTION = 22  # height in pixels of one line of captions


def difference(clean_HWC: Pixels, protected_HWC: Pixels, gain: int = 16) -> npt.NDArray[np.uint8]:
    """Show the perturbation: 128 + gain·Δ, cut to 0..255, with Δ in levels of 255.

    Args:
        clean_HWC: the original, uint8, or uint16 (whose levels of 65535 count as 257 to one); also (H, W).
        protected_HWC: the published image, of the same shape and dtype.
        gain: how much the perturbation is amplified.

    Returns:
        (H, W, 1) or (H, W, 3) uint8; 128 where nothing changed. Alpha is left out.

    Raises:
        ValidationError: the two are not images of one shape and dtype.
    """
    if clean_HWC.shape != protected_HWC.shape or clean_HWC.dtype != protected_HWC.dtype:
        raise ValidationError(
            f"clean and protected image must agree; found {clean_HWC.shape} {clean_HWC.dtype} and "
            f"{protected_HWC.shape} {protected_HWC.dtype}; are they the same sample?"
        )
    delta_HWC = _colours(protected_HWC).astype(np.float64) - _colours(clean_HWC).astype(np.float64)
    levels = 257.0 if clean_HWC.dtype == np.uint16 else 1.0
    return np.clip(np.rint(128 + gain * delta_HWC / levels), 0, 255).astype(np.uint8)


def max_levels(clean_HWC: Pixels, protected_HWC: Pixels) -> float:
    """Largest |Δ| of one image in levels of 255, alpha left out; shapes and dtypes as in `difference`."""
    delta_HWC = _colours(protected_HWC).astype(np.int32) - _colours(clean_HWC).astype(np.int32)
    return float(np.abs(delta_HWC).max(initial=0)) / (257 if clean_HWC.dtype == np.uint16 else 1)


def viewable(pixels_HWC: Pixels, side: int = 256) -> Image.Image:
    """Turn pixels of any depth and channel count into a picture whose longer side is about `side` pixels.

    Nearest neighbour by a whole factor, up or down: smoothing would hide the pattern. 16-bit values keep their upper
    eight bits; transparent parts lie on white.
    """
    pixels = (pixels_HWC >> 8).astype(np.uint8) if pixels_HWC.dtype == np.uint16 else pixels_HWC.astype(np.uint8)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise ValidationError(f"an image must be H×W×C with 1 to 4 channels; found shape {pixels_HWC.shape}")
    longer = max(pixels.shape[:2])
    if longer > side:
        step = -(-longer // side)
        pixels = pixels[::step, ::step]
    else:
        factor = max(1, side // longer)
        pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1:].astype(np.float64) / 255
        pixels = np.rint(pixels[..., :-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))


def png_data_uri(picture: Image.Image) -> str:
    """Embed a picture into HTML as a lossless `data:` address."""
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


def preview_sheet(rows: Sequence[Pair], *, side: int = 256, gain: int = 16) -> Image.Image:
    """Lay clean, protected and amplified difference side by side, one row a sample, under captions; then its labels.

    Args:
        rows: samples, uint8 or uint16, C as in the legend.
        side: longer side of each picture on the sheet, in pixels; reached by whole factors.
        gain: amplification of the difference.

    Returns:
        An RGB image; with no rows, a sheet that says so.

    Raises:
        ValidationError: a pair's shapes or dtypes differ, or it is no image.
    """
    names = list(dict.fromkeys(name for row in rows for name, _ in row.labels))
    pictures = [
        (
            viewable(row.clean, side),
            viewable(row.protected, side),
            viewable(difference(row.clean, row.protected, gain), side),
            # A sample without that label leaves its place empty.
            *(viewable(dict(row.labels).get(name, np.full_like(row.clean, 255)[..., :1]), side) for name in names),
        )
        for row in rows
    ]
    column = max([side, *(picture.width for row in pictures for picture in row)])
    titles = ("clean", "protected", f"difference ×{gain}", *names)
    width = len(titles) * (column + GAP) + GAP
    height = CAPTION + 2 * GAP + sum(row[0].height + CAPTION + 2 * GAP for row in pictures)
    sheet = Image.new("RGB", (width, height if rows else height + CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    heading, caption = _font(16), _font(12)
    for index, title in enumerate(titles):
        draw.text((GAP + index * (column + GAP), GAP), title, fill="#1a1a1a", font=heading)
    if not rows:
        draw.text((GAP, CAPTION + GAP), "no samples to show", fill="#595959", font=caption)
    top = CAPTION + 2 * GAP
    for (key, clean, protected, _), row in zip(rows, pictures, strict=True):
        for index, picture in enumerate(row):
            sheet.paste(picture, (GAP + index * (column + GAP), top))
        top += row[0].height
        height_, width_ = clean.shape[:2]
        fact = f"{width_}×{height_} px, largest change {max_levels(clean, protected):.3g} of 255"
        draw.text((GAP, top + 4), _shortened(key, caption, column), fill="#1a1a1a", font=caption)
        draw.text((2 * GAP + column, top + 4), fact, fill="#595959", font=caption)
        top += CAPTION + 2 * GAP
    return sheet


def _colours(pixels_HWC: Pixels) -> Pixels:
    """The channels without alpha, always H×W×C."""
    pixels = pixels_HWC[..., None] if pixels_HWC.ndim == 2 else pixels_HWC
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or pixels.dtype not in (np.uint8, np.uint16):
        raise ValidationError(
            f"an image must be H×W×C, 1 to 4 channels, uint8 or uint16; found {pixels_HWC.shape} {pixels_HWC.dtype}"
        )
    return pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Cut a long key at its front, where keys differ least, so that it fits into `width` pixels."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while len(text) > 1 and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Pillow's own font lacks many characters that keys may hold."""
    from matplotlib import get_data_path

    return ImageFont.truetype(os.path.join(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
