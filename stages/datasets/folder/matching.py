"""From the rows of a table to the pictures that they name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import InputError
from schemas.imports import Skipped
from stages.datasets.folder.tree import Picture
from stages.datasets.tables.records import Table

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


@dataclass
class Matched:
    """The rows of a table by picture, and what fits nothing."""

    key: str
    """Column that names the picture."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path of a picture → values of its row, the key among them."""
    skipped: list[Skipped] = field(default_factory=list)


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
    made = Matched(_key_column(table, names, key))
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for where, row in table.rows:
        name, found = row[made.key], names.find(row[made.key])
        problem = _problem(name, found, made.key, first)
        if problem is None:
            first[found[0].path] = where, row
            made.rows[found[0].path] = row
        else:
            made.skipped.append(Skipped(reason=problem[0], message=f"{table.path.name} {where}: {problem[1]}"))
    made.skipped += _without_row(table, pictures, made)
    return made


def _problem(
    name: Any, found: list[Picture], key: str, first: dict[str, tuple[str, dict[str, Any]]]
) -> tuple[str, str] | None:
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
        return "duplicate-row", f"{name!r} is in {first[found[0].path][0]} too, which was kept; remove one of them"
    return None


def _without_row(table: Table, pictures: Sequence[Picture], made: Matched) -> Iterator[Skipped]:
    for picture in pictures:
        if picture.path not in made.rows:
            message = f"{picture.path}: it has no row in {table.path.name}; add one, or take the picture out"
            yield Skipped(reason="no-label", message=message)


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
