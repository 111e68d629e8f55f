"""A person's own pictures: a class for each folder, or a table of labels beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import Field, field_validator, model_validator

from schemas.errors import ConfigError, InputError, SampleError
from schemas.imports import Parameters, Skipped
from stages.adapters.adapter import Checked, Members, OnDisk, Row, held_out
from stages.adapters.folder.coco import OBJECTS, SEGMENTS, annotations_of, is_coco, mask_of
from stages.adapters.folder.tree import Picture, Tree, keys_of, matched, tree_of
from stages.adapters.label_tables import read_table
from stages.adapters.pictures import Stored, encoded, upright
from stages.io.images.formats import header_size
from stages.io.shards.sample import key_hash

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Name of a folder, or value of a column → split."""

SPLIT_COLUMNS = ("split", "partition", "subset", "set", "fold")

FILE_ENDINGS = (".png", ".npy")
"""Files with a value for each pixel that become members of their own."""

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Names of the table that is read by default: those of Hugging Face's ImageFolder."""


class Labelled(NamedTuple):
    """A picture with its labels, before anything of it is read."""

    picture: Picture
    split: str | None
    labels: dict[str, Any]
    files: dict[str, str]
    """Member → file beside the picture."""
    segments: list[Any]


class Folder(OnDisk):
    """Your own pictures: a folder for each class, or a table of labels; the configuration is written as well.

    A folder for each class: `PICTURES/cat/1.jpg`, also below `train/`, `val/` and `test/`. A table (`--labels`): CSV,
    TSV, JSON Lines or Parquet with a column of file names and columns of labels, or COCO's annotations. Every file that
    becomes no sample is counted, and the first of each kind is named.
    """

    name: ClassVar[str] = "folder"
    positional: ClassVar[frozenset[str]] = frozenset({"source"})
    places: ClassVar[frozenset[str]] = frozenset({"source", "labels", "beside"})
    configured: ClassVar[bool] = True

    source: Path
    """Folder with the pictures, at any depth."""

    labels: Path | None = None
    """Table of labels: .csv, .tsv, .jsonl, .parquet, or COCO's .json. Left out: the folders are the classes."""

    key: str | None = None
    """Column of the table that names the picture. Left out: the one whose values are file names."""

    beside: list[str] = Field(default_factory=list)
    """A label for each pixel of each picture, as NAME=FOLDER: files of the same names, .png or .npy. May recur."""

    masks: bool = False
    """Also draw COCO's outlines as masks, a label for each pixel."""

    size: int | None = Field(default=None, ge=16)
    """Side of the square that is stored, in pixels, cut from the middle. Left out: each picture as it is."""

    test_percent: int = Field(default=0, ge=0, le=100)
    """Test split in percent, by a hash of the name: read by the audit, never protected, never published."""

    @field_validator("labels")
    @classmethod
    def _absolute_table(cls, labels: Path | None) -> Path | None:
        return labels and labels.expanduser().absolute()

    @field_validator("beside")
    @classmethod
    def _named(cls, beside: list[str]) -> list[str]:
        for each in beside:
            name, _, folder = each.partition("=")
            if not folder or not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError("write NAME=FOLDER, such as mask=masks/")
        return [f"{each.partition('=')[0]}={_absolute(each.partition('=')[2])}" for each in beside]

    @model_validator(mode="after")
    def _one_size(self) -> Folder:
        if self.size is not None and (self.beside or self.masks):
            raise ValueError("labels of pixels are not resized here; leave --size out")
        return self

    def check(self) -> Checked:
        """Look for pictures and read the table."""
        names: Parameters = {"beside": ",".join(sorted(self._beside()))} if self.beside else {}
        return Checked(names, sum(1 for _ in self._found()))

    def rows(self) -> Iterator[Row | Skipped]:
        """The pictures in the order of a hash, so that each shard is a fair sample; what is left out comes first."""
        labelled = []
        for each in self._found():
            if isinstance(each, Skipped):
                yield each
            else:
                labelled.append(each)
        keys = keys_of([each.picture for each in labelled])
        for key, each in sorted(zip(keys, labelled, strict=True), key=lambda pair: key_hash(pair[0])):
            note = {"json": each.labels, "files": each.files, "segments": each.segments}
            size = each.picture.size + sum((self.source / file).stat().st_size for file in each.files.values())
            yield Row(each.split or held_out(key, self.test_percent), key, each.picture.path, size, note)

    def members(self, row: Row) -> Members:
        """The picture, its labels, and files with labels of its pixels."""
        data = (self.source / row.place).read_bytes()
        dense = bool(row.labels["files"] or self.masks)
        stored = Stored(size=self.size or 16, original=self.size is None)
        members = [stored.member(data) if dense else upright(stored, data)]
        members.append(("json", json.dumps(row.labels["json"], ensure_ascii=False).encode()))
        members += [(name, (self.source / file).read_bytes()) for name, file in row.labels["files"].items()]
        if self.masks:
            size = header_size(data)
            if size is None:
                raise SampleError("corrupt-image", "its header cannot be read; replace it")
            members.append(("mask.png", encoded(mask_of(row.labels["segments"], *size), "PNG")))
        return members

    def known_labels(self) -> Iterator[Mapping[str, Any]]:
        """What the `json` member of every sample holds."""
        yield from (each.labels for each in self._found() if isinstance(each, Labelled))

    def known_names(self) -> dict[str, list[str]]:
        """The classes of COCO's masks."""
        if not self.masks or self.labels is None:
            return {}
        return {"mask.png": ["background", *annotations_of(self.labels, masks=True).categories]}

    def _beside(self) -> dict[str, Path]:
        return {name: Path(folder) for name, _, folder in (each.partition("=") for each in self.beside)}

    def _found(self) -> Iterator[Labelled | Skipped]:
        table = self.labels or next((self.source / name for name in TABLES if (self.source / name).is_file()), None)
        known = [*self._beside().values(), *([table] if table else [])]
        tree = tree_of(self.source, known)
        yield from tree.skipped
        found = self._of_classes(tree) if table is None else self._of_table(tree, table)
        for each in found:
            yield each if isinstance(each, Skipped) else self._with_files(each)

    def _of_classes(self, tree: Tree) -> Iterator[Labelled | Skipped]:
        """A class for each folder; levels that every picture has are labels of their own."""
        splits = _split_folders(tree)
        self._refuse_two_splits(bool(splits))
        steps = {each.path: each.folders[1:] if splits else each.folders for each in tree.pictures}
        levels = min((len(found) for found in steps.values() if found), default=0)
        if not levels and not self.beside:
            raise ConfigError(
                f"{self.source} has its pictures in one folder, so none has a class: make a folder for each class, or "
                "name a table of labels with --labels"
            )
        for picture in tree.pictures:
            found = steps[picture.path]
            if not found and levels:
                message = f"{picture.path}: it lies in no folder of a class, as the others do; move it into one"
                yield Skipped(reason="no-label", message=message)
                continue
            names = ["class", *(f"class{level}" for level in range(2, levels + 1))]
            split = SPLITS[picture.folders[0].lower()] if splits else None
            yield Labelled(picture, split, dict(zip(names, found, strict=False)), {}, [])

    def _of_table(self, tree: Tree, path: Path) -> Iterator[Labelled | Skipped]:
        coco = is_coco(path)
        if self.masks and not coco:
            raise ConfigError(f"--masks: {path} has no outlines; only COCO's annotations have some")
        table = annotations_of(path, masks=self.masks).table if coco else read_table(path)
        found = matched(table, tree.pictures, "file_name" if coco and self.key is None else self.key)
        yield from found.skipped
        columns = [name for name in table.columns if name not in {found.key, SEGMENTS}]
        split_column = next((name for name in columns if name.lower() in SPLIT_COLUMNS), None)
        if split_column and not all(str(row[split_column]).lower() in SPLITS for row in found.rows.values()):
            split_column = None
        splits = _split_folders(tree)
        self._refuse_two_splits(bool(splits or split_column))
        files = {
            name: places for name in columns if name != OBJECTS and (places := self._files_of(found.rows, name, path))
        }
        labels = [name for name in columns if name != split_column and name not in files]
        if not labels and not files and not self.beside:
            raise InputError(f"{path}: there is no column beside {found.key!r}; add the labels")
        for picture in tree.pictures:
            row = found.rows.get(picture.path)
            if row is not None:
                split = SPLITS[str(row[split_column]).lower()] if split_column else None
                split = split or (SPLITS[picture.folders[0].lower()] if splits else None)
                own = {_member(name, places[picture.path]): places[picture.path] for name, places in files.items()}
                yield Labelled(picture, split, {name: row[name] for name in labels}, own, row.get(SEGMENTS) or [])

    def _files_of(self, rows: Mapping[str, dict[str, Any]], column: str, table: Path) -> dict[str, str]:
        """Picture → file with labels of its pixels that a column names; empty where it is another column."""
        places = {}
        for picture, row in rows.items():
            name = row[column]
            if not isinstance(name, str) or not name.lower().endswith(FILE_ENDINGS):
                return {}
            file = next((base / name for base in (table.parent, self.source) if (base / name).is_file()), None)
            if file is None:
                return {}
            places[picture] = str(file)
        return places

    def _with_files(self, each: Labelled) -> Labelled | Skipped:
        """The picture with the files of the same name in the folders beside."""
        files = dict(each.files)
        for name, folder in self._beside().items():
            stems = (each.picture.stem, each.picture.stem.rpartition("/")[2])
            found = [folder / f"{stem}{ending}" for stem in stems for ending in FILE_ENDINGS]
            file = next((path for path in found if path.is_file()), None)
            if file is None:
                message = f"{each.picture.path}: there is no {name} {stems[0]}.png or .npy in {folder}; add it"
                return Skipped(reason="missing-file", message=message)
            files[_member(name, str(file))] = str(file)
        return each._replace(files=files)

    def _refuse_two_splits(self, there: bool) -> None:
        if there and self.test_percent:
            raise ConfigError("--test-percent: the pictures have splits of their own (train, val, test); leave it out")


def _split_folders(tree: Tree) -> bool:
    """Whether every picture lies in a folder train, val or test."""
    return all(each.folders and each.folders[0].lower() in SPLITS for each in tree.pictures)


def _member(name: str, file: str) -> str:
    """Name of the member that a file becomes.

    >>> _member("mask", "masks/1.PNG")
    'mask.png'
    """
    safe = "".join(sign if sign.isalnum() or sign in "_-" else "_" for sign in name)
    return f"{safe}.{file.rpartition('.')[2].lower()}"


def _absolute(folder: str) -> str:
    return str(Path(folder).expanduser().absolute())
