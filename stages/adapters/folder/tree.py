"""The pictures below a folder: which files count, what is left out and why, and the key and table row of each."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError, InputError
from schemas.imports import Skipped
from stages.adapters.label_tables import Table

READ = frozenset(["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "jp2", "ppm", "pgm", "pbm"])
"""Endings of formats that are read; the bytes decide in the end."""

UNREAD = {
    **dict.fromkeys(("heic", "heif"), "HEIC"),
    **dict.fromkeys(("avif", "jxl", "svg", "psd", "exr", "hdr", "ico", "pdf"), "this format"),
    **dict.fromkeys(("cr2", "cr3", "nef", "arw", "raf", "orf", "rw2", "dng"), "camera raw"),
    **dict.fromkeys(("dcm", "dicom", "nii"), "a medical format"),
}
"""Endings of pictures that are not read → what messages call them."""


@dataclass(frozen=True)
class Picture:
    """One file that is a picture by its name."""

    path: str
    """Below the folder, with `/`."""
    size: int
    """Bytes."""

    @property
    def folders(self) -> list[str]:
        """The folders that it lies in, from the outermost."""
        return self.path.split("/")[:-1]

    @property
    def stem(self) -> str:
        """The path without its ending."""
        return self.path.rpartition(".")[0]


@dataclass
class Tree:
    """What lies below a folder."""

    pictures: list[Picture] = field(default_factory=list)
    """In the order of their paths."""
    skipped: list[Skipped] = field(default_factory=list)


def tree_of(source: Path, known: Sequence[Path] = ()) -> Tree:
    """Every picture below a folder; links are followed, circles of links are not.

    Args:
        source: the folder.
        known: files that are read otherwise (a table of labels), and folders of labels beside the pictures.

    Raises:
        ConfigError: it is no folder, or has no picture.
    """
    if source.is_file():
        raise ConfigError(f"{source} is a file, not a folder; unpack an archive first, and name its folder")
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder; name the folder with the pictures")
    tree, passed_by = Tree(), {path.absolute() for path in known}
    for path, of_folder in _files(source, passed_by):
        place = path.relative_to(source).as_posix()
        problem = of_folder or _problem_of_file(path)
        if problem is None:
            tree.pictures.append(Picture(place, path.stat().st_size))
        else:
            reason, message = problem
            tree.skipped.append(Skipped(reason=reason, message=f"{_printable(place)}: {message}"))
    if not tree.pictures:
        first = f"; the first file: {tree.skipped[0].message}" if tree.skipped else ""
        raise ConfigError(f"{source} has no picture at any depth ({' '.join(sorted(READ))}){first}")
    tree.pictures.sort(key=lambda picture: picture.path)
    return tree


Problem = tuple[str, str]
"""Reason, and what was found and what to do."""


def _files(source: Path, passed_by: set[Path]) -> Iterator[tuple[Path, Problem | None]]:
    """Every file below a folder, in order; a folder that cannot be entered with its problem."""
    errors: list[OSError] = []
    for folder, folders, names in os.walk(source, followlinks=True, onerror=errors.append):
        here = Path(folder)
        above = {_identity(parent) for parent in (here, *here.parents) if parent.is_relative_to(source)}
        for name in sorted(folders):
            if here / name in passed_by:
                folders.remove(name)
            elif (here / name).is_symlink() and _identity(here / name) in above:
                folders.remove(name)
                yield here / name, ("symlink-loop", "it leads back to a folder that it lies in; remove the link")
        folders.sort()
        yield from ((here / name, None) for name in sorted(names) if here / name not in passed_by)
    for error in errors:
        yield Path(error.filename), ("unreadable-folder", f"{error.strerror}; check its permissions")


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _problem_of_file(path: Path) -> Problem | None:
    """Why a file becomes no sample, by its name; None where it may."""
    ending = path.suffix[1:].lower()
    if path.name.startswith("."):
        return "hidden-file", "hidden files are not read; rename it, if it is a picture"
    if not path.is_file():
        return "missing-file", "it is a link that leads nowhere, or no ordinary file; correct it, or take it out"
    if ending in UNREAD:
        return "unsupported-format", f"{UNREAD[ending]} is not read; convert it to JPEG or PNG"
    if ending not in READ:
        return "not-a-picture", "its ending is none of a picture's; rename it, if it is one"
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "unsafe-name", "its name is not UTF-8; rename it"
    return None


def keys_of(pictures: Sequence[Picture]) -> list[str]:
    """A key for each picture: its path, with `_` for what file names should not have.

    So whoever unpacks the protected shards has the folders again. Two pictures whose keys would be one (`a.jpg` beside
    `a.png`) get a hash of their path behind it.

    >>> keys_of([Picture("cats/my cat.v2.jpg", 1), Picture("dogs/a.jpg", 1), Picture("dogs/A.png", 1)])
    ['cats/my_cat_v2', 'dogs/a-312ad87c', 'dogs/A-86db26d2']
    """
    plain = ["/".join(map(_plain, picture.stem.split("/"))) for picture in pictures]
    counts = Counter(key.casefold() for key in plain)
    keys = []
    for key, picture in zip(plain, pictures, strict=True):
        alone = counts[key.casefold()] == 1 and key.rpartition("/")[2].strip("_")
        keys.append(key if alone else f"{key}-{_digest(picture.path)}")
    return keys


def _plain(text: str) -> str:
    """One step of a path; names such as `__MACOSX__` would be metadata in a shard."""
    composed = unicodedata.normalize("NFC", text)
    safe = "".join(sign if sign.isalnum() or sign in "_-" else "_" for sign in composed)
    return (safe.strip("_") or "_") if safe.startswith("__") else safe


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


PROBED = 500
"""Rows in which the column of names is looked for."""


class Names:
    """The pictures by every name that a table may give them: path or file name, with or without the ending."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._found: dict[str, list[Picture]] = {}
        for picture in pictures:
            path, stem = _one_spelling(picture.path), _one_spelling(picture.stem)
            for name in dict.fromkeys((path, stem, path.rpartition("/")[2], stem.rpartition("/")[2])):
                self._found.setdefault(name, []).append(picture)

    def find(self, name: Any) -> list[Picture]:
        """The pictures that a name may mean: of a longer path, the longest end that is one."""
        if not isinstance(name, str | int) or isinstance(name, bool):
            return []
        steps = [step for step in _one_spelling(str(name)).replace("\\", "/").split("/") if step not in {"", "."}]
        for start in range(len(steps)):
            found = self._found.get("/".join(steps[start:]))
            if found:
                exact = [picture for picture in found if _one_spelling(picture.path) == "/".join(steps[start:])]
                return exact or found
        return []


CONTRADICTED = "contradicting-rows"


@dataclass
class Matched:
    """The rows of a table by picture, and what fits nothing."""

    key: str
    """Column that names the picture."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path of a picture → values of its row, the key among them."""
    skipped: list[Skipped] = field(default_factory=list)
    contradicted: set[str] = field(default_factory=set)
    """Paths of pictures with two rows that differ: nobody can tell which is right."""


def matched(table: Table, pictures: Sequence[Picture], key: str | None) -> Matched:
    """Find the picture of each row, and the row of each picture.

    Args:
        table: the labels.
        pictures: all that there are.
        key: column that names the picture; None: the one whose values name most pictures.

    Raises:
        InputError: the column is not there, or no column names pictures.
    """
    names = Names(pictures)
    _refuse_missing_header(table, names)
    made = Matched(_key_column(table, names, key))
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for where, row in table.rows:
        name, found = row[made.key], names.find(row[made.key])
        problem = _problem_of_row(row, found, made.key, first)
        if problem is None:
            first[found[0].path] = where, row
            made.rows[found[0].path] = row
        else:
            made.skipped.append(Skipped(reason=problem[0], message=f"{table.path.name} {where}: {problem[1]}"))
            if problem[0] == CONTRADICTED and made.rows.pop(found[0].path, None) is not None:
                made.contradicted.add(found[0].path)
                message = f"{table.path.name} {first[found[0].path][0]}: {name!r} has other values in {where}"
                made.skipped.append(Skipped(reason=CONTRADICTED, message=f"{message}; remove the wrong one"))
    made.skipped += _without_row(table, pictures, made)
    return made


def _problem_of_row(
    values: dict[str, Any], found: list[Picture], key: str, first: dict[str, tuple[str, dict[str, Any]]]
) -> tuple[str, str] | None:
    name = values[key]
    if name is None:
        return "no-name", f"column {key!r} is empty; name the picture, or remove the row"
    if not found:
        return (
            "missing-file",
            f"column {key!r} is {str(name)[:200]!r}, and there is no such picture; add it, or remove the row",
        )
    if len(found) > 1:
        several = ", ".join(picture.path for picture in found[:3])
        return "ambiguous-name", f"column {key!r} is {name!r}, which may be {several}; write the path below the folder"
    if found[0].path in first:
        where, row = first[found[0].path]
        if row != {**values, key: row[key]}:
            return CONTRADICTED, f"{name!r} has other values in {where}; remove the wrong one"
        return "duplicate-row", f"{name!r} is in {first[found[0].path][0]} too, which was kept; remove one of them"
    return None


def _without_row(table: Table, pictures: Sequence[Picture], made: Matched) -> Iterator[Skipped]:
    for picture in pictures:
        if picture.path not in made.rows and picture.path not in made.contradicted:
            message = f"{picture.path}: it has no row in {table.path.name}; add one, or take the picture out"
            yield Skipped(reason="no-label", message=message)


def _refuse_missing_header(table: Table, names: Names) -> None:
    """Raise InputError where the first row of a table is taken for its header: the row's label would be lost."""
    for column in table.columns:
        if re.search(r"\.[A-Za-z0-9]{3,4}$", column) and names.find(column):
            raise InputError(
                f"{table.path}: the first row has the picture {column!r}, where the names of the columns are expected; "
                "write a first row such as `file,label`"
            )


def _key_column(table: Table, names: Names, key: str | None) -> str:
    shown = ", ".join(table.columns)
    if key is not None:
        if key not in table.columns:
            raise InputError(f"{table.path}: there is no column {key!r} (--key); the columns are {shown}")
        return key
    counts = {column: sum(bool(names.find(row[column])) for _, row in table.rows[:PROBED]) for column in table.columns}
    best = max(counts, key=lambda column: counts[column])
    if not counts[best]:
        where, row = table.rows[0]
        values = ", ".join(f"{column}={str(value)[:40]!r}" for column, value in row.items())
        raise InputError(
            f"{table.path}: no column names pictures of the folder; {where} has {values[:400]}: name the column with "
            "--key, and check that its values are file names"
        )
    return best


def _one_spelling(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())
