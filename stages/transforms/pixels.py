"""Every transformation of pixels: an image in, an image out, at its own resolution.

Their differentiable twins are in `differentiable.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image, ImageFilter
from PIL.Image import Resampling

from schemas.plans import Noise
from stages.io.images.pixel_layout import bound_of, has_alpha, is_gray, peak_of, strips
from stages.io.images.spill import Pixels
from stages.io.shards.sample import key_hash


class Transform(Protocol):
    """Changes one image; the same pixels and key always give the same result, wherever the sample stands."""

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """An array of the same type, H×W×C (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA); alpha stays."""


def on_colours(pixels_HWC: Pixels, change: Callable[[np.ndarray], np.ndarray]) -> Pixels:
    """An image whose colours went through `change` in 8 bits, as codecs and filters take them; alpha stays.

    Args:
        pixels_HWC: any image.
        change: from H×W×1 or H×W×3 uint8 to the same shape, of any number type, in 0..255.
    """
    alpha, scale = has_alpha(pixels_HWC), peak_of(pixels_HWC) // 255
    colours_HWC = pixels_HWC[:, :, :-1] if alpha else pixels_HWC
    found = np.asarray(change((colours_HWC // scale).astype(np.uint8)), dtype=np.float64).reshape(colours_HWC.shape)
    changed: Pixels = (np.rint(np.clip(found, 0, 255)) * scale).astype(pixels_HWC.dtype)
    return np.concatenate([changed, pixels_HWC[:, :, -1:]], axis=2) if alpha else changed


def as_picture(colours_HWC: np.ndarray) -> Image.Image:
    """H×W×1 or H×W×3 uint8 for Pillow."""
    return Image.fromarray(colours_HWC[:, :, 0] if colours_HWC.shape[2] == 1 else colours_HWC)


@dataclass(frozen=True)
class Band:
    """Frequencies from `low` to `high` are removed; the mean of the image always stays.

    Removal of a band of frequencies: what lies in a ring of the image's spectrum is taken out.

    Low-pass attacks are what the newest protections are tried against (FUSE, ICML 2026, trains with bands removed at
    random). A high-pass shows whether the shortcut lies in coarse shades.
    """

    low: float
    """Share of the largest frequency along an axis (1 = two pixels a wave); corners reach 1.41."""
    high: float

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image without the band."""
        return on_colours(pixels_HWC, self._without)

    def _without(self, colours_HWC: np.ndarray) -> np.ndarray:
        height, width = colours_HWC.shape[:2]
        radius_HW = 2 * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
        kept_HW = (radius_HW < self.low) | (radius_HW >= self.high) | (radius_HW == 0)
        spectrum = np.fft.rfft2(colours_HWC.astype(np.float64), axes=(0, 1)) * kept_HW[:, :, None]
        filtered: np.ndarray = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
        return filtered


@dataclass(frozen=True)
class Bits:
    """Each value goes to the nearest of 2^bits levels that are spread evenly over 0..255.

    Fewer bits a colour value: differences below a level vanish, or become a whole one.

    A squeeze of the ISS benchmark (Liu, Zhao, Larson, 2023; 2 bits there) and of feature squeezing (Xu et al., 2018).
    """

    bits: int

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image in fewer levels."""
        top = 2**self.bits - 1
        return on_colours(pixels_HWC, lambda colours_HWC: np.rint(colours_HWC / 255.0 * top) * (255.0 / top))


@dataclass(frozen=True)
class Blur:
    """A Gaussian of `radius` pixels standard deviation.

    Blur: a Gaussian or a median over neighbouring pixels, against perturbations of fine grain.

    Both are in the battery of the ISS benchmark (Liu, Zhao, Larson, 2023) and of APBench (Qin et al., 2023).
    """

    radius: float = 1.0

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The blurred image."""
        blur = ImageFilter.GaussianBlur(self.radius)
        return on_colours(pixels_HWC, lambda colours_HWC: np.asarray(as_picture(colours_HWC).filter(blur)))


@dataclass(frozen=True)
class Median:
    """The median of `side`×`side` pixels, each colour by itself."""

    side: int = 3

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image without what stands out of its neighbours."""
        median = ImageFilter.MedianFilter(self.side)
        return on_colours(pixels_HWC, lambda colours_HWC: np.asarray(as_picture(colours_HWC).filter(median)))


LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B (ITU-R BT.601), as JPEG and every image library have them."""


@dataclass(frozen=True)
class Gray:
    """Luma in all colour channels; a gray image stays as it is.

    Grayscale: every colour value becomes the luma of its pixel.

    The cheapest attack on protections whose δ differs between the channels (Liu, Zhao, Larson, 2023, "Image Shortcut
    Squeezing"). A δ that is equal in R, G and B survives it whole.
    """

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image without its colours, of the same shape."""
        if is_gray(pixels_HWC):
            return pixels_HWC
        colours = slice(0, -1) if has_alpha(pixels_HWC) else slice(None)
        luma_HW = np.rint(pixels_HWC[:, :, :3] @ np.array(LUMA))
        grayed = pixels_HWC.copy()
        grayed[:, :, colours] = luma_HW[:, :, None]
        return grayed


@dataclass(frozen=True)
class Lossy:
    """Encoded and decoded again, with Pillow's tables and subsampling.

    Lossy compression: JPEG and WebP at a quality, as a content delivery network or an attacker does it.

    JPEG is the standard squeeze of shortcuts (Liu, Zhao, Larson, ICML 2023, "Image Shortcut Squeezing"; quality 10
    there). 4:2:0 chroma and coarse tables for high frequencies take out what the eye does not miss.
    """

    codec: Literal["JPEG", "WEBP"]
    quality: int
    """1..95, as libjpeg and libwebp count it."""

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image as it comes back from the file."""
        return on_colours(pixels_HWC, self._again)

    def _again(self, colours_HWC: np.ndarray) -> np.ndarray:
        picture, file = as_picture(colours_HWC), io.BytesIO()
        picture.save(file, self.codec, quality=self.quality)
        with Image.open(file) as decoded:
            return np.asarray(decoded.convert(picture.mode))


@dataclass(frozen=True)
class UniformNoise:
    """Integer noise in [-B, B] on every colour value; it depends on key and seed alone, never on place in a shard.

    Uniform random noise within ±ε: the control that any protection must beat.
    """

    epsilon: float
    """ε in [0, 1] units."""
    seed: int = 0

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image with its noise."""
        bound = bound_of(pixels_HWC, self.epsilon)
        rng = np.random.default_rng([self.seed, *key_hash(key)])
        noisy = np.empty_like(pixels_HWC)
        height, width, _ = pixels_HWC.shape
        for rows in strips(height, height * width):
            clean = pixels_HWC[rows]
            # 32 bits a number: narrower types draw several at once, which would depend on the strips.
            noise = rng.integers(-bound, bound, size=clean.shape, endpoint=True, dtype=np.int32)
            if has_alpha(pixels_HWC):
                noise[:, :, -1] = 0
            noisy[rows] = np.clip(clean + noise, 0, peak_of(pixels_HWC))
        return noisy


@dataclass(frozen=True)
class DownUp:
    """Frequencies above `share` of what the image can hold are lost; its size stays.

    Down and up again: the image is made smaller, bilinear with antialiasing, and brought back to its size.
    """

    share: float = 0.5

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image after both resizes."""
        return on_colours(pixels_HWC, self._again)

    def _again(self, colours_HWC: np.ndarray) -> np.ndarray:
        picture = as_picture(colours_HWC)
        small = picture.resize([max(1, round(side * self.share)) for side in picture.size], Resampling.BILINEAR)
        return np.asarray(small.resize(picture.size, Resampling.BILINEAR))


TRANSFORMS: dict[str, Callable[..., Transform]] = {"noise": UniformNoise}


def transforms_of(settings: Sequence[Noise]) -> list[Transform]:
    """What the settings describe, in order."""
    made = []
    for each in settings:
        values: dict[str, Any] = each.model_dump(exclude={"kind"})
        made.append(TRANSFORMS[each.kind](**values))
    return made
