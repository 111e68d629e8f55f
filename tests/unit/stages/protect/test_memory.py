"""Large images: strip by strip the pixels are those of whole frames, bit for bit, and memory does not follow them."""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from pipeline.run.tables import return_memory
from schemas.dataset import Layout
from schemas.plans import GeneratorSpec, IngestPlan, ProtectPlan
from stages.ingest import ingest
from stages.ingest.ingest import profile_shard
from stages.io.images import decoding, encoding, pixel_layout, spill
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import check_encoded, encode_image
from stages.io.images.pixel_layout import bound_of, canonical_view, has_alpha, peak_of
from stages.io.shards.sample import key_hash
from stages.perturbers.codes import ClassCodes
from stages.perturbers.perturber import GeneratorPerturber
from stages.protect import protect
from stages.protect.perturb import add_perturbation, measure_change
from stages.protect.protect import write_protected
from stages.protect.validate import validate_shard
from stages.transforms.pixels import UniformNoise
from tests import builders

EPSILON = 8 / 255
SIZES = [(1, 1), (1, 50), (50, 1), (2, 7), (7, 2), (33, 47), (64, 64), (47, 130), (211, 3)]


@pytest.fixture(params=[3, 40, 1000])
def small_strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a few pixels, and every image is a large one."""
    monkeypatch.setattr(pixel_layout, "STRIP_PIXELS", request.param)
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 1)
    monkeypatch.setattr(encoding, "STRIP_PIXELS", request.param)
    monkeypatch.setattr(spill, "LARGE_PIXELS", 1)


def image(height: int, width: int, channels: int, dtype: type) -> np.ndarray:
    rng = np.random.default_rng([height, width, channels])
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)


# --- the same by whole frames, as it is written in docs/method.md -----------------------------------------------------


def whole_perturbed(pixels: np.ndarray, delta: torch.Tensor) -> np.ndarray:
    height, width, channels = pixels.shape
    if delta.shape[1:] != (height, width):
        size = {"size": (height, width), "mode": "bilinear", "antialias": True, "align_corners": False}
        delta = functional.interpolate(delta[None], **size)[0]  # type: ignore[arg-type]
    added = delta.clamp(-EPSILON, EPSILON).permute(1, 2, 0).numpy()
    colours = channels - has_alpha(pixels)
    peak, bound = peak_of(pixels), bound_of(pixels, EPSILON)
    stored = pixels[:, :, :colours].astype(np.int32)
    moved = np.rint(stored + np.float32(peak) * added[:, :, :colours]).astype(np.int32)
    inside = np.clip(np.clip(moved, stored - bound, stored + bound), 0, peak)
    return np.concatenate([inside.astype(pixels.dtype), pixels[:, :, colours:]], axis=2)


def whole_view(pixels: np.ndarray, resolution: int) -> np.ndarray:
    colour = pixels[:, :, :-1] if has_alpha(pixels) else pixels
    colour = colour.repeat(3, axis=2) if colour.shape[2] == 1 else colour
    if colour.dtype == np.uint8 and colour.shape[:2] == (resolution, resolution):
        return colour
    x = torch.from_numpy(colour.astype(np.float32)).permute(2, 0, 1)[None] * (255 / peak_of(pixels))
    size = {"size": (resolution, resolution), "mode": "bilinear", "antialias": True, "align_corners": False}
    resized = functional.interpolate(x, **size)  # type: ignore[arg-type]
    return resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def whole_noise(pixels: np.ndarray, key: str) -> np.ndarray:
    bound, rng = bound_of(pixels, EPSILON), np.random.default_rng([5, *key_hash(key)])
    noise = rng.integers(-bound, bound, size=pixels.shape, endpoint=True, dtype=np.int32)
    if has_alpha(pixels):
        noise[:, :, -1] = 0
    return np.clip(pixels + noise, 0, peak_of(pixels)).astype(pixels.dtype)


def whole_change(clean: np.ndarray, protected: np.ndarray) -> tuple[int, float, float]:
    size = np.abs(protected.astype(np.int32) - clean.astype(np.int32))[:, :, : clean.shape[2] - has_alpha(clean)]
    level = peak_of(clean) / 255
    squared = float(np.square(size, dtype=np.float64).mean()) / level**2
    return int(np.ceil(int(size.max()) / level)), float(size.mean()) / level, squared


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_strips_give_the_pixels_and_figures_of_whole_frames(channels: int, dtype: type) -> None:
    for (height, width), resolution in product(SIZES, (16, 64)):
        pixels = image(height, width, channels, dtype)
        rng = torch.Generator().manual_seed(height)
        delta = (torch.rand(3, resolution, resolution, generator=rng) - 0.5) * 2.2 * EPSILON
        protected = add_perturbation(pixels, delta, EPSILON)
        np.testing.assert_array_equal(protected, whole_perturbed(pixels, delta), f"{height}×{width}")
        np.testing.assert_array_equal(canonical_view(pixels, resolution), whole_view(pixels, resolution))
        np.testing.assert_array_equal(UniformNoise(EPSILON, seed=5)(pixels, "k"), whole_noise(pixels, "k"))
        if (protected != pixels).any():
            assert measure_change("k", pixels, protected, EPSILON) == whole_change(pixels, protected)


def pillow_images() -> dict[str, bytes]:
    """One image for every way in which Pillow's pixels become ours."""
    photo = Image.fromarray(builders.picture(0, 37, 51))
    palette = photo.quantize(16)
    gray16 = Image.fromarray(image(37, 51, 1, np.uint16)[..., 0])
    exif = Image.Exif()
    exif[274] = 6
    return {
        "rgb": builders.encoded(photo, "PNG"),
        "rgba": builders.png(builders.picture(1, 37, 51, 4)),
        "gray": builders.encoded(photo.convert("L"), "PNG"),
        "gray and alpha": builders.encoded(photo.convert("LA"), "PNG"),
        "bits": builders.encoded(photo.convert("1"), "PNG"),
        "palette": builders.encoded(palette, "PNG"),
        "palette with alpha": builders.encoded(palette, "PNG", transparency=3),
        "one transparent colour": builders.encoded(photo, "PNG", transparency=photo.getpixel((3, 3))),
        "gray of 16 bits": builders.encoded(gray16, "PNG"),
        "rgb of 16 bits": builders.png(image(37, 51, 3, np.uint16)),
        "rgba of 16 bits": builders.png(image(37, 51, 4, np.uint16)),
        "jpeg": builders.encoded(photo, "JPEG"),
        "cmyk": builders.encoded(photo.convert("CMYK"), "JPEG"),
        "tiff": builders.encoded(photo, "TIFF"),
        "turned tiff": builders.encoded(photo, "TIFF", exif=exif),
        "webp": builders.encoded(photo, "WEBP", lossless=True),
    }


@pytest.mark.parametrize("name", pillow_images())
def test_a_large_image_decodes_to_the_pixels_of_a_small_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pillow_images()[name]
    expected = decode_image(data, max_pixels=10_000)
    monkeypatch.setattr(pixel_layout, "STRIP_PIXELS", 60)
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 1)
    found = decode_image(data, max_pixels=10_000)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert (found.pixels.dtype, found.mode, found.rotated) == (expected.pixels.dtype, expected.mode, expected.rotated)


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_of_several_strips_shows_the_image(channels: int, dtype: type) -> None:
    pixels = image(37, 51, channels, dtype)
    before, data = pixels.copy(), encode_image(pixels, "png")
    np.testing.assert_array_equal(pixels, before)
    assert data.count(b"IDAT") > 1
    check_encoded(data, pixels, "png")
    wrong = pixels.copy()
    wrong[-1, -1, 0] ^= 1
    assert not encoding.shows(data, wrong)


# --- peaks ------------------------------------------------------------------------------------------------------------


def growth_of(action: Callable[[], object]) -> float:
    """How far this process's memory rises above what it holds now, in MB (Linux: VmHWM, which is reset here)."""

    def status(name: str) -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1])

    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the peak of a process cannot be reset here")
    before = status("VmRSS")
    action()
    return (status("VmHWM") - before) * 1024 / 1e6


def flat_png(side: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (side, side), (128, 90, 70)).save(target, "PNG", compress_level=1)
    return target.getvalue()


def test_a_worker_needs_a_few_frames_of_its_largest_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    return_memory()
    side = 3500
    monkeypatch.setattr(protect, "QUEUE_BYTES", 1)  # as for images of 64 MB and more: one at a time
    samples: list[builders.BuiltSample] = [
        (f"s{number}", [("png", flat_png(side)), ("cls", b"1")]) for number in range(2)
    ]
    source, target = builders.write_shard(tmp_path / "in.tar", samples), tmp_path / "out.tar"
    tasks = [builders.Task(field="cls", classes=3)]
    spec = GeneratorSpec(network="codes", resolution=16, epsilon=EPSILON, tasks=tasks, protected=[True])
    perturber = GeneratorPerturber(ClassCodes(spec).eval().requires_grad_(False), "codes")
    plan = ProtectPlan(
        layout=Layout(), tasks=tasks, epsilon=EPSILON, encoding="png", on_error="fail", generator="codes"
    )
    ingest = IngestPlan(layout=Layout(), tasks=tasks, resolution=16)
    frame = side * side * 3 / 1e6
    steps: dict[str, Callable[[], object]] = {
        "ingest": lambda: profile_shard(source, "in.tar", tmp_path / "table", ingest, 9),
        "protect": lambda: write_protected(source, "in.tar", target, plan, perturber),
        "validate": lambda: validate_shard(source, "in.tar", target, Layout(), epsilon=EPSILON, encoding="png"),
    }
    grown = {name: growth_of(step) for name, step in steps.items()}
    assert max(grown.values()) < 4 * frame, grown


def test_the_pixels_of_one_sample_are_gone_before_the_next_one_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[weakref.ref[np.ndarray]] = []

    def watched(data: bytes, *, max_pixels: int) -> decoding.Decoded:
        assert all(pixels() is None for pixels in seen), "two large images at once"
        decoded = decode_image(data, max_pixels=max_pixels)
        seen.append(weakref.ref(decoded.pixels))
        return decoded

    monkeypatch.setattr(ingest, "decode_image", watched)
    path = builders.write_shard(tmp_path / "train-0.tar", builders.labelled_samples(3))
    for _, found in ingest.read_decoded(path, path.name, Layout(), builders.tasks()):
        del found
    assert len(seen) == 3
