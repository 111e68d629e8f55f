"""COCO's annotations: the categories of each picture as findings, and its outlines as a mask.

Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014), format of the annotations.
Shapes: H×W masks; 0 is background, then the categories in their order, 255 crowds (no class).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from schemas.errors import InputError, SampleError
from stages.adapters.label_tables import Table, read_json

OBJECTS = "objects"
"""Label of the names of a picture's categories."""

SEGMENTS = "segments"
"""Column of its outlines, for the mask; not published."""

CROWD = 255
MOST = 253
"""Categories that fit into a mask beside background and crowds."""

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Annotations:
    """A file of annotations as a table, and the names of its categories in order."""

    table: Table
    categories: list[str]


def is_coco(path: Path) -> bool:
    """Whether a JSON file has annotations of COCO."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    found = read_json(path)
    return isinstance(found, dict) and "images" in found and "annotations" in found


def annotations_of(path: Path, *, masks: bool) -> Annotations:
    """Read a file of annotations.

    Args:
        path: the JSON file.
        masks: whether the outlines are wanted.

    Raises:
        InputError: an image, annotation or category lacks a part, or an annotation leads to none.
    """
    found = read_json(path)
    names: dict[Any, str] = {}
    for number, each in enumerate(_list(found, "categories", path)):
        names[_part(each, "id", f"categories[{number}]", path)] = str(
            _part(each, "name", f"categories[{number}]", path)
        )
    if len(set(names.values())) < len(names):
        raise InputError(
            f"{path}: two categories have one name ({', '.join(names.values())[:200]}); rename one of them"
        )
    if masks and len(names) > MOST:
        raise InputError(f"{path}: {len(names)} categories do not fit into a mask ({MOST} at most); leave --masks out")
    rows: dict[Any, dict[str, Any]] = {}
    places: dict[Any, str] = {}
    for number, each in enumerate(_list(found, "images", path)):
        where = f"images[{number}]"
        key = _part(each, "id", where, path)
        if key in rows:
            raise InputError(f"{path}: {where}: the id {key!r} is that of {places[key]} too; make the ids differ")
        rows[key], places[key] = {"file_name": _part(each, "file_name", where, path), OBJECTS: [], SEGMENTS: []}, where
    order = {key: place + 1 for place, key in enumerate(names)}
    for number, each in enumerate(_list(found, "annotations", path)):
        where = f"annotations[{number}]"
        image, category = _part(each, "image_id", where, path), _part(each, "category_id", where, path)
        if image not in rows or category not in names:
            wrong = f"image_id {image!r}" if image not in rows else f"category_id {category!r}"
            raise InputError(f"{path}: {where}: {wrong} is not in the file; correct it")
        row = rows[image]
        row[OBJECTS] = sorted({*row[OBJECTS], names[category]})
        if masks and each.get("segmentation"):
            value = CROWD if each.get("iscrowd") else order[category]
            row[SEGMENTS].append([value, float(each.get("area", 0)), each["segmentation"]])
    columns = ["file_name", OBJECTS, SEGMENTS]
    return Annotations(Table(path, columns, [(places[key], row) for key, row in rows.items()]), list(names.values()))


def _list(found: dict[str, Any], name: str, path: Path) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list):
        raise InputError(f"{path}: {name!r} is no list; COCO's annotations have images, annotations and categories")
    return value


def _part(each: Any, name: str, where: str, path: Path) -> Any:
    if not isinstance(each, dict) or name not in each:
        raise InputError(f"{path}: {where} has no {name!r}; correct the file")
    return each[name]


def mask_of(segments: list[Any], height: int, width: int) -> Mask:
    """Draw the outlines of a picture, the largest first, so that small things lie on top.

    Args:
        segments: value in the mask, area, and polygons or run lengths of each annotation.
        height: of the picture, in pixels.
        width: likewise.

    Raises:
        SampleError: `wrong-size`, `malformed-outline`.
    """
    mask = np.zeros((height, width), np.uint8)
    for value, _, outline in sorted(segments, key=lambda each: -each[1]):
        try:
            if isinstance(outline, dict):
                mask[_of_runs(outline, height, width)] = value
            else:
                mask = _with_polygons(mask, outline, value)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise SampleError("malformed-outline", f"an outline cannot be drawn ({error}); correct it") from None
    return mask


def _with_polygons(mask: Mask, polygons: list[list[float]], value: int) -> Mask:
    image = Image.fromarray(mask)
    drawing = ImageDraw.Draw(image)
    for polygon in polygons:
        drawing.polygon([float(place) for place in polygon], fill=value)
    return np.array(image, np.uint8)


def _of_runs(outline: dict[str, Any], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Run lengths down the columns, plain or in COCO's text form."""
    if list(outline["size"]) != [height, width]:
        raise SampleError(
            "wrong-size",
            f"the outline is for {outline['size'][0]}×{outline['size'][1]} pixels, the picture has {height}×{width}; "
            "use the pictures that the annotations were made for",
        )
    counts = outline["counts"]
    runs = _runs_in(counts) if isinstance(counts, str) else counts
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _runs_in(text: str) -> list[int]:
    """Run lengths of COCO's text form: groups of 5 bits; the sixth bit says that more follow. From the third run on,
    each is the difference to the run before the last.
    """
    runs: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        more = True
        while more:
            bits = ord(text[place]) - 48
            value |= (bits & 0x1F) << shift
            more, shift, place = bool(bits & 0x20), shift + 5, place + 1
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
