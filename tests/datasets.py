"""Small trees on the disk in the very layouts of public datasets, and a look into the shards that come of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

from pipeline.cluster.progress import Reporter
from pipeline.run.import_data import import_dataset
from schemas.config import Compute
from schemas.imports import ImportSummary
from stages.adapters.adapter import Adapter
from stages.adapters.importing import ShardLimit
from stages.io.store.store import Store
from tests.builders import jpeg, picture, png

ATTRIBUTES = ("5_o_Clock_Shadow", "Male", "Smiling")


def imported(
    adapter: Adapter, place: Path | Store, *, workers: int = 1, samples: int | None = 4, size: int | None = None
) -> ImportSummary:
    """An import into a directory or store; in this process unless there are several workers."""
    store = Store(str(place)) if isinstance(place, Path) else place
    limit = ShardLimit(samples=None if size else samples, bytes=size)
    return import_dataset(adapter, store, Reporter("plain"), limit=limit, compute=Compute(cpus=workers))


def samples_in(place: Path, pattern: str = "*.tar") -> dict[str, dict[str, bytes]]:
    """Key → field → data of the shards in a directory."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(place.glob(pattern)):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, field = member.name.partition(".")
                found.setdefault(key, {})[field] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return found


def labels_in(place: Path, pattern: str = "*.tar") -> dict[str, Any]:
    """Key → what its `json` member holds."""
    return {key: json.loads(fields["json"]) for key, fields in samples_in(place, pattern).items()}


def image_of(data: bytes) -> Image.Image:
    """The picture that a member holds."""
    return Image.open(io.BytesIO(data))


def attributes_of(number: int, count: int = len(ATTRIBUTES)) -> list[int]:
    """The values, −1 or 1, of the picture with this number."""
    return [1 if number >> place & 1 else -1 for place in range(count)]


def split_of(number: int) -> int:
    """0, 1 or 2: of ten pictures the last but one is for validation and the last for testing."""
    return {9: 1, 0: 2}.get(number % 10, 0)


def celeba_tree(
    root: Path,
    count: int = 10,
    *,
    csv: bool = False,
    height: int = 218,
    width: int = 178,
    names: Sequence[str] = ATTRIBUTES,
) -> Path:
    """CelebA with `count` pictures, 000001.jpg and on."""
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"{number:06d}.jpg" for number in range(1, count + 1)]
    for number, file in enumerate(files, 1):
        (folder / file).write_bytes(jpeg(picture(number, height, width)))
    rows = [(file, attributes_of(number, len(names))) for number, file in enumerate(files, 1)]
    splits = [(file, split_of(number)) for number, file in enumerate(files, 1)]
    if csv:
        write_csv(root / "list_attr_celeba.csv", [["image_id", *names], *([file, *row] for file, row in rows)])
        write_csv(root / "list_eval_partition.csv", [["image_id", "partition"], *splits])
    else:
        lines = [
            str(count),
            " ".join(names),
            *(f"{file} " + "".join(f"{value:>3}" for value in row) for file, row in rows),
        ]
        (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
        (root / "list_eval_partition.txt").write_text("".join(f"{file} {split}\n" for file, split in splits))
    return root


def write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    """A CSV file without quotes."""
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that is there once."""
    text = path.read_text()
    assert text.count(old) == 1, (path, old, text.count(old))
    path.write_text(text.replace(old, new))


def same_pixels(data: bytes, expected: np.ndarray) -> bool:
    """Whether a picture decodes to exactly these pixels."""
    return bool(np.array_equal(np.asarray(image_of(data)), expected))


CHEST_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
CHEST_HEADER_2020 = CHEST_HEADER.replace("Gender", "Sex").rstrip(",")


def chest_tree(root: Path, findings: Sequence[str], *, edition: int = 2017, size: int = 32) -> Path:
    """ChestX-ray14 with one X-ray for each of `findings`, two a patient; every fifth patient is in the test list.

    Pictures lie in `images_001/images/` and `images_002/images/` by turns.
    """
    lines, lists = [], {"train_val_list.txt": "", "test_list.txt": ""}
    for number, found in enumerate(findings):
        patient, follow_up = number // 2 + 1, number % 2
        file = f"{patient:08d}_{follow_up:03d}.png"
        folder = root / f"images_{number % 2 + 1:03d}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(png(picture(number, size, size, 1)))
        end = "," if edition == 2017 else ""
        lines.append(
            f"{file},{found},{follow_up},{patient},{40 + patient},{'MF'[number % 2]},PA,2682,2749,0.143,0.143{end}"
        )
        lists["test_list.txt" if patient % 5 == 0 else "train_val_list.txt"] += f"{file}\n"
    header, name = (CHEST_HEADER, "") if edition == 2017 else (CHEST_HEADER_2020, "_v2020")
    (root / f"Data_Entry_2017{name}.csv").write_text("\n".join([header, *lines]) + "\n")
    for name, text in lists.items():
        (root / name).write_text(text)
    return root


def utkface_tree(root: Path, names: Sequence[str], *, height: int = 200, width: int = 200) -> Path:
    """UTKFace with pictures of these names."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(picture(number, height, width)))
    return root


@dataclass(frozen=True)
class Scenes:
    """Pictures with labels as NYUv2 holds them, N of H×W."""

    images: np.ndarray
    """N×H×W×3 uint8."""
    labels: np.ndarray
    """N×H×W uint16, 0..894; 0 is none."""
    depths: np.ndarray
    """N×H×W float32, metres."""


def scenes(count: int = 5, height: int = 12, width: int = 16) -> Scenes:
    """Scenes that differ in every number, pixel and axis."""
    rng = np.random.default_rng(count)
    images = np.stack([picture(number, height, width) for number in range(count)])
    labels = rng.integers(0, 895, (count, height, width)).astype(np.uint16)
    return Scenes(images, labels, rng.uniform(0.7, 10, (count, height, width)).astype(np.float32))


def mapping40() -> np.ndarray:
    """A class, 1..40, for each of NYUv2's 894 names."""
    return np.arange(894) % 40 + 1


def nyuv2_tree(root: Path, made: Scenes, train: Sequence[int] = (1, 3, 4), test: Sequence[int] = (2, 5)) -> Path:
    """NYUv2 as published: a MATLAB 7.3 file with its axes reversed, and splits and class mapping of version 5."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = made.images.transpose(0, 3, 2, 1)
        file["labels"] = made.labels.transpose(0, 2, 1)
        file["depths"] = made.depths.transpose(0, 2, 1)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Nov  1 2012".ljust(124))
    columns = {name: np.array([numbers]).T for name, numbers in (("trainNdxs", train), ("testNdxs", test))}
    savemat(root / "splits.mat", columns)
    savemat(root / "classMapping40.mat", {"mapClass": mapping40()[None].astype(np.uint8)})
    return root


def nyuv2_export(root: Path, count: int = 3, height: int = 12, width: int = 16) -> Path:
    """NYUv2 as npy files: `count` pictures for training, one for validation."""
    for split, number in [*(("train", number) for number in range(count)), ("val", 0)]:
        rng = np.random.default_rng(number + 100 * (split == "val"))
        normal = rng.normal(size=(height, width, 3))
        normal /= np.linalg.norm(normal, axis=2, keepdims=True)
        normal[0] = 0
        arrays = {
            "image": picture(number, height, width) / 255,
            "label": rng.integers(-1, 13, (height, width)).astype(np.float64),
            "depth": rng.uniform(0, 10, (height, width, 1)),
            "normal": normal,
        }
        for kind, array in arrays.items():
            (root / split / kind).mkdir(parents=True, exist_ok=True)
            np.save(root / split / kind / f"{number}.npy", array)
    return root
