"""Photographs that protection is measured on, read from a folder of your own; nothing is downloaded.

    celeba.tar        CelebA's own layout: list_attr_celeba.txt, list_eval_partition.txt, img_align_celeba/*.jpg
    cifar10.tar       train/CLASS/*.jpg and test/CLASS/*.jpg
    nyuv2-*.tar       shards nyuv2-train-00000.tar, nyuv2-test-00000.tar, … of png, mask.png (13 classes, 255 for none)
                      and depth.png (16 bit, mm)

The datasets are for research; none of their pictures belongs into a repository or a report that is published.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pictures import Dataset
from schemas.errors import ConfigError, SampleError
from schemas.tasks import Task
from stages.adapters.faces.celeba import CROP
from stages.learning.table import ImageTable
from stages.protect.arrays import table_of
from stages.tasks.kinds import kinds_of

BALANCED = (
    "Male", "Smiling", "Attractive", "Wearing_Lipstick", "High_Cheekbones", "Mouth_Slightly_Open", "Heavy_Makeup",
    "Wavy_Hair",
)  # fmt: skip
"""Eight attributes of CelebA of which neither answer is rare."""

ROOM = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv", "wall",
    "window",
)  # fmt: skip
"""NYUv2's 13 classes, in the order of their indices."""


def faces(folder: Path, side: int, attributes: tuple[str, ...] = (), most: tuple[int, int] | None = None) -> Dataset:
    """CelebA's training and test split, a yes/no task an attribute; without `attributes` all 40.

    Args:
        folder: with celeba.tar.
        side: of a picture, in pixels.
        attributes: in the order of the tasks.
        most: the first so many pictures of each split; None: all of them.
    """
    path = _only(folder, "celeba.tar")
    values: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    pictures: dict[str, bytes] = {}
    names: list[str] = []
    for member, data in _members(path):
        if member.endswith("list_attr_celeba.txt"):
            names, *rows = (line.split() for line in data.decode().splitlines()[1:])
            values = {row[0]: row[1:] for row in rows if row}
        elif member.endswith("list_eval_partition.txt"):
            splits = dict(line.split() for line in data.decode().splitlines() if line.strip())  # type: ignore[misc]
        elif member.endswith(".jpg"):
            pictures[member.rpartition("/")[2]] = data
    if not (values and splits and pictures):
        raise ConfigError(
            f"{path}: the attributes, the partition or the pictures are missing; give CelebA's own layout"
        )
    listed = values.keys() & splits.keys()
    if absent := sorted((values.keys() | splits.keys() | pictures.keys()) - (listed & pictures.keys())):
        raise ConfigError(
            f"{path}: {len(absent)} pictures are not there or not in both lists ({absent[0]} first); the tar is only "
            "half there: pack list_attr_celeba.txt and list_eval_partition.txt with exactly the pictures that they list"
        )
    if empty := [words for number, words in (("0", "training"), ("2", "test")) if number not in splits.values()]:
        raise ConfigError(f"{path}: no picture belongs to the {empty[0]} split; the partition needs splits 0 and 2")
    wanted = attributes or tuple(names)
    if unknown := [name for name in wanted if name not in names]:
        raise ConfigError(f"{path}: list_attr_celeba.txt has no column {unknown[0]}; give CelebA's 40 attributes")
    tasks = [Task(kind="binary", field=f"json.{name}") for name in wanted]
    columns = [names.index(name) for name in wanted]
    tables = []
    for split, count in zip(("0", "2"), most or (None, None), strict=True):
        chosen = [name for name in sorted(pictures) if splits[name] == split][:count]
        labels = [[int(values[name][column] == "1") for name in chosen] for column in columns]
        images = [_centre(_picture(path, name, pictures[name])) for name in chosen]
        tables.append(table_of(images, labels, kinds_of(tasks), side))
    return Dataset(tasks, side, *tables, f"faces-{side}" + (f"-{most[0]}" if most else ""), ("crop", "flip"))


def turned_objects(folder: Path, train: int = 8000, test: int = 2000) -> Dataset:
    """CIFAR-10, each picture turned by 0 to 3 quarters: a task of ten classes and one of four."""
    path = _only(folder, "cifar10.tar")
    found: dict[str, list[tuple[str, bytes]]] = {"train": [], "test": []}
    for member, data in _members(path):
        *_, split, label, name = ("", "", *member.split("/"))
        if split in found and name.endswith((".jpg", ".png")):
            found[split].append((label, data))
    classes = sorted({label for label, _ in found["train"]})
    if len(classes) != 10 or not found["test"]:
        raise ConfigError(f"{path}: {len(classes)} classes in train/; give train/CLASS/*.jpg and test/CLASS/*.jpg")
    tasks = [Task(field="json.object", classes=classes), Task(field="json.turn", classes=4)]
    tables = []
    for number, (split, most) in enumerate((("train", train), ("test", test))):
        rng = np.random.default_rng(number)
        rows = [found[split][row] for row in sorted(rng.permutation(len(found[split]))[:most])]
        turns = rng.integers(0, 4, size=len(rows)).tolist()
        pictures = [_picture(path, f"a picture of {label}", data) for label, data in rows]
        images = [np.ascontiguousarray(np.rot90(image, turn)) for image, turn in zip(pictures, turns, strict=True)]
        labels = [[classes.index(label) for label, _ in rows], turns]
        tables.append(table_of(images, labels, kinds_of(tasks), 32))
    return Dataset(tasks, 32, *tables, "turned-objects")


def photographed_rooms(folder: Path, side: int = 48) -> Dataset:
    """NYUv2's rooms: masks of 13 classes and depths in metres."""
    tasks = [
        Task(kind="segmentation", field="mask.png", name="classes", classes=list(ROOM), ignore=255),
        Task(kind="depth", field="depth.png", name="depth", scale=0.001, high=10, unit="m"),
    ]
    tables = (_rooms(folder, split, tasks, side) for split in ("train", "test"))
    return Dataset(tasks, side, *tables, f"photographed-rooms-{side}", ("crop", "flip"))


def _rooms(folder: Path, split: str, tasks: list[Task], side: int) -> ImageTable:
    paths = sorted(folder.glob(f"nyuv2-{split}-*.tar"))
    if not paths:
        raise ConfigError(f"{folder}: no nyuv2-{split}-*.tar is there; put the shards into the folder that DATA names")
    samples: dict[str, dict[str, np.ndarray]] = {}
    for path in paths:
        for member, data in _members(path):
            key, _, field = member.partition(".")
            pixels = _picture(path, member, data, mode="RGB" if field == "png" else None)
            samples.setdefault(f"{path.name}/{key}", {})[field] = pixels
    kinds = kinds_of(tasks)
    labels: list[list[np.ndarray]] = [[] for _ in kinds]
    for key, fields in samples.items():
        if absent := {"png", *(task.field for task in tasks)} - fields.keys():
            raise ConfigError(f"{folder / key}: {min(absent)} is missing; each room needs png, mask.png and depth.png")
        for found, kind in zip(labels, kinds, strict=True):
            try:
                found.append(kind.label(fields[kind.task.field]))
                kind.check(found[-1], *fields["png"].shape[:2])
            except SampleError as error:
                raise ConfigError(f"{folder / key}.{kind.task.field}: {error.message}; correct this room") from None
    return table_of([fields["png"] for fields in samples.values()], labels, kinds, side)


def _picture(path: Path, name: str, data: bytes, mode: str | None = "RGB") -> np.ndarray:
    """The pixels of a member; None as mode leaves them as they are stored."""
    try:
        picture = Image.open(io.BytesIO(data))
        return np.asarray(picture.convert(mode) if mode else picture)
    except OSError as error:
        raise ConfigError(f"{path}: {name} cannot be decoded ({error}); fetch the tar again") from None


def _only(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise ConfigError(f"{path} is missing; name the folder that holds {name}: make results-real DATA=folder")
    return path


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file in a tar."""
    try:
        with tarfile.open(path) as archive:
            for entry in archive:
                if (file := archive.extractfile(entry)) is not None and not entry.name.rpartition("/")[2].startswith(
                    "."
                ):
                    yield entry.name, file.read()
    except (tarfile.TarError, EOFError) as error:
        raise ConfigError(f"{path}: the tar is damaged or only half there ({error}); fetch it again") from None


def _centre(image: np.ndarray) -> np.ndarray:
    """The centred square that the method's experiments use: 140 of the aligned picture's 178 pixels."""
    height, width = image.shape[:2]
    side = round(width * CROP / 178)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])
