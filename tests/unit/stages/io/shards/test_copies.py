"""A member that is kept on purpose and is the original in another file is refused; masks, depth and arrays are not."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from schemas.dataset import Layout
from schemas.errors import RefusedInputError
from stages.io.images.decoding import decode_image
from stages.io.shards.layout import image_member
from stages.io.shards.originals.copies import refuse_copies
from stages.io.shards.sample import Member, Sample
from tests.builders import encoded, jpeg, png

H, W = 48, 64


def scene() -> np.ndarray:
    """A smooth picture with some noise, H×W×3."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:H, 0:W]
    waves = [120 + 60 * np.sin(x / 9 + each) + 50 * np.cos(y / 8 + 2 * each) for each in range(3)]
    return np.clip(np.stack(waves, axis=2) + rng.normal(0, 4, (H, W, 3)), 0, 255).astype(np.uint8)


SCENE = scene()
GRAY = SCENE.mean(axis=2).astype(np.uint8)
ORIGINAL = jpeg(SCENE)
DEPTH = np.linspace(1, 9, H * W, dtype=np.float32).reshape(H, W)


def npy(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.savez_compressed(target, **arrays)
    return target.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def resized(size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(SCENE).resize(size))


COPIES = {
    "the same file": ("orig.jpg", ORIGINAL),
    "another format": ("right.png", png(SCENE)),
    "a thumbnail": ("thumb.jpg", encoded(Image.fromarray(resized((24, 18))), "JPEG", quality=60)),
    "an enlarged one": ("big.webp", encoded(Image.fromarray(resized((256, 192))), "WEBP")),
    "in gray": ("mask.png", png(GRAY[..., None])),
    "with 16 bits": ("depth.png", png(GRAY[..., None].astype(np.uint16) * 257)),
    "with a palette": ("seg.png", encoded(Image.fromarray(SCENE).quantize(256), "PNG")),
    "with alpha": ("cut.png", png(np.dstack([SCENE, GRAY]))),
    "an array": ("npy", npy(SCENE)),
    "channels first, in 0..1": ("x.npy", npy(SCENE.transpose(2, 0, 1).astype(np.float32) / 255)),
    "standardised": ("x.npy", npy(((GRAY - 120.0) / 60).astype(np.float16))),
    "npz": ("npz", npz(label=np.arange(3), image=SCENE)),
    "zip": ("zip", zipped({"a.txt": b"x", "b/1.jpg": ORIGINAL})),
    "gzip": ("gz", gzip.compress(png(SCENE))),
    "pickle": ("pkl", pickle.dumps({"label": 3, "jpg": ORIGINAL})),
    "PDF": ("pdf", b"%PDF-1.4\n\xff\xfe stream\n" + ORIGINAL + b"\nendstream"),
}

OTHERS = {
    "a mask": ("mask.png", png((GRAY[..., None] > 128).astype(np.uint8) * 255)),
    "classes": ("seg.png", png((np.mgrid[0:H, 0:W][0] // 12).astype(np.uint8)[..., None])),
    "depth": ("depth.npy", npy(DEPTH)),
    "depth of 16 bits": ("depth.png", png((DEPTH * 1000).astype(np.uint16)[..., None])),
    "normals": ("normals.npy", npy(np.dstack([DEPTH, DEPTH, DEPTH]).astype(np.float32) / 9)),
    "a mask as an array": ("mask.npy", npy((GRAY > 128).astype(np.uint8))),
    "a vector": ("cls.npy", npy(np.arange(300))),
    "other bytes": ("bin", bytes(range(256)) * 8),
    "a broken array": ("npy", npy(SCENE)[:200]),
    "a broken zip": ("zip", zipped({"1.jpg": b"x" * 99})[:90]),
    "another picture": ("right.jpg", jpeg(SCENE[:, ::-1])),
}


def check(field: str, data: bytes, layout: Layout) -> None:
    sample = Sample("s1", (Member("jpg", ORIGINAL), Member(field, data)))
    image = image_member(sample, layout)
    refuse_copies(sample, image, decode_image(image.data, max_pixels=2**20).pixels, layout)


@pytest.mark.parametrize(("field", "data"), COPIES.values(), ids=COPIES.keys())
def test_a_kept_member_that_is_the_original_is_refused(field: str, data: bytes) -> None:
    with pytest.raises(RefusedInputError, match=rf"'s1': member '{field}' .*original.*: write `{field}: drop`"):
        check(field, data, Layout(image="jpg", members={field: "keep"}))
    check(field, data, Layout(image="jpg", members={field: "drop"}))
    check(field, data, Layout(image="jpg", members={f"{field}.*": "keep"}))


@pytest.mark.parametrize(("field", "data"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_no_copy_is_kept(field: str, data: bytes) -> None:
    check(field, data, Layout(image="jpg", members={field: "keep"}))
