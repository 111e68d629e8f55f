"""CelebA: 202,599 aligned faces with 40 binary attributes, in the official splits.

Liu et al., "Deep Learning Face Attributes in the Wild" (ICCV 2015); for non-commercial research. The import reads the
aligned pictures (178×218 JPEG), the attributes and the partition. They lie in one directory or in `Img/`, `Anno/` and
`Eval/`. Attributes are text (a count line, a header line, values −1 and 1) or CSV.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from schemas.errors import InputError, SampleError
from schemas.imports import Skipped
from stages.adapters.adapter import Checked, Members, OnDisk, Row
from stages.adapters.lists import csv_rows, find_file, find_folder, text_rows
from stages.adapters.pictures import Stored
from stages.io.store.objects import file_sha256

ATTRIBUTES = tuple(f"{folder}list_attr_celeba.{ending}" for ending in ("txt", "csv") for folder in ("", "Anno/"))
PARTITION = tuple(
    f"{folder}list_eval_partition.{ending}" for ending in ("txt", "csv") for folder in ("", "Eval/", "Anno/")
)
PICTURES = (
    "img_align_celeba/img_align_celeba",  # the inner one first: the outer may hold nothing else
    "img_align_celeba",
    "Img/img_align_celeba",
)

SPLITS = {"0": "train", "1": "val", "2": "test"}
VALUES = {"-1": 0, "1": 1}

CROP = 140
"""Side of the centre crop that the method's experiments use, in pixels (docs/method.md)."""
SIZE = 70
"""Side that is stored, in pixels: half the crop."""


class CelebA(OnDisk):
    """CelebA: faces with 40 binary attributes, from img_align_celeba/, list_attr_celeba and list_eval_partition.

    Members of a sample: `png` (or `jpg` with `original`); `json`, `{"Smiling": 1, …}`, 0 or 1 for each attribute.
    """

    name: ClassVar[str] = "celeba"
    hidden: ClassVar[frozenset[str]] = frozenset({"gray"})

    pictures: Stored = Stored(size=SIZE, crop=CROP)
    """How pictures are stored."""

    def check(self) -> Checked:
        """Count the attributes' rows against the count line, before anything is written."""
        attributes, partition = find_file(self.source, *ATTRIBUTES), find_file(self.source, *PARTITION)
        find_folder(self.source, *PICTURES)
        rows = _attribute_rows(attributes)
        names = next(rows)[1]
        if not names or len(set(names)) != len(names):
            raise InputError(f"{attributes}: the header names {len(names)} attributes; each once is expected")
        count = sum(1 for _ in rows)
        if attributes.suffix == ".txt":
            stated = next(text_rows(attributes))[1].strip()
            if stated != str(count):
                raise InputError(
                    f"{attributes}: row 1 says {stated!r} pictures, but {count} rows follow the header; "
                    "the file is cut off or was edited: fetch it again, or correct the count"
                )
        return Checked({"attributes": file_sha256(attributes), "partition": file_sha256(partition)}, count)

    def rows(self) -> Iterator[Row | Skipped]:
        """The pictures in the order of the attributes."""
        attributes, partition = find_file(self.source, *ATTRIBUTES), find_file(self.source, *PARTITION)
        folder = find_folder(self.source, *PICTURES)
        splits: dict[str, str] = {}
        yield from _read_partition(partition, splits)
        rows = _attribute_rows(attributes)
        names = next(rows)[1]
        for number, fields in rows:
            try:
                yield self._row(names, fields, splits, folder)
            except SampleError as error:
                yield Skipped.of(error, f"{attributes.name} row {number} ({fields[0]})")
        for file in splits:
            message = f"{partition.name}: {file} has no row in {attributes.name}; fetch both lists again"
            yield Skipped(reason="no-attributes", message=message)

    def _row(self, names: list[str], fields: list[str], splits: dict[str, str], folder: Path) -> Row:
        file, values = fields[0], fields[1:]
        if len(values) != len(names) or "/" in file:
            raise SampleError("malformed-row", f"{len(values)} values for {len(names)} attributes; correct the row")
        wrong = next((place for place, value in enumerate(values) if value not in VALUES), None)
        if wrong is not None:
            raise SampleError(
                "malformed-row", f"{names[wrong]} is {values[wrong]!r}, expected -1 or 1; correct the row"
            )
        split = splits.pop(file, None)  # what is left at the end has no attributes
        if split is None:
            raise SampleError("no-split", "it is in no split, or stands twice; correct the lists")
        path = folder / file
        place = path.relative_to(self.source).as_posix()
        if not path.is_file():
            raise SampleError("missing-file", f"{place} is not there; fetch the pictures again")
        labels = {name: VALUES[value] for name, value in zip(names, values, strict=True)}
        return Row(split, path.stem, place, path.stat().st_size, labels)

    def members(self, row: Row) -> Members:
        """The face and its attributes."""
        image = self.pictures.member((self.source / row.place).read_bytes())
        return [image, ("json", json.dumps(row.labels).encode())]


def _attribute_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The names of the attributes first, then the file and values of each picture; with row numbers."""
    if path.suffix == ".csv":
        rows = csv_rows(path)
        number, header = next(rows, (1, []))
        yield number, header[1:]
        yield from rows
        return
    lines = ((number, text.split()) for number, text in text_rows(path))
    next(lines, None)  # the count
    yield next(lines, (2, []))
    yield from ((number, fields) for number, fields in lines if fields)


def _read_partition(path: Path, splits: dict[str, str]) -> Iterator[Skipped]:
    """Fill `splits`, file → split; yield the rows that cannot be read."""
    if path.suffix == ".csv":
        rows = csv_rows(path)
        next(rows, None)  # the header
    else:
        rows = ((number, text.split()) for number, text in text_rows(path))
    for number, fields in rows:
        if len(fields) == 2 and fields[1] in SPLITS:
            splits[fields[0]] = SPLITS[fields[1]]
        elif fields:
            yield Skipped(
                reason="malformed-row",
                message=f"{path.name} row {number}: {' '.join(fields)!r}, expected a file and 0, 1 or 2; correct it",
            )
