"""Tables of labels: CSV, TSV, JSON Lines and Parquet, as rows of named values with the place of each."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError, InputError
from schemas.tasks.task import MISSING_WORDS
from stages.adapters.lists import csv_rows, text_rows

DELIMITERS = (",", ";", "\t", "|")

NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*|(?=\.[0-9]))(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
"""Numbers as people write them; 007 is a name."""


@dataclass(frozen=True)
class Table:
    """All rows of a table."""

    path: Path
    columns: list[str]
    rows: list[tuple[str, dict[str, Any]]]
    """Place of a row in the file (`row 7`), and the value of each column; None where there is none."""


def read_table(path: Path) -> Table:
    """Read a whole table; its ending says what it is.

    Text of CSV becomes a number where all of its column are numbers. Empty cells, NaN and the like become None.

    Raises:
        ConfigError: the file is not there, or has another ending.
        InputError: it is damaged; the message names the row.
    """
    if not path.is_file():
        raise ConfigError(f"--labels {path}: there is no such file; name the table of labels")
    ending = path.suffix.lower()
    if ending in {".csv", ".tsv", ".txt"}:
        return _of_csv(path)
    if ending in {".jsonl", ".ndjson"}:
        return _table(path, _json_lines(path))
    if ending == ".json":
        return _table(path, _json_list(path))
    if ending == ".parquet":
        return _table(path, _parquet(path))
    raise ConfigError(f"--labels {path}: the ending is none of .csv, .tsv, .jsonl, .json and .parquet; save it as CSV")


def _of_csv(path: Path) -> Table:
    delimiter = delimiter_of(path)
    rows = csv_rows(path, delimiter)
    number, header = next(rows, (1, []))
    if len(header) < 2:
        raise InputError(
            f"{path}: row {number} has {len(header)} columns; a column of names and one of labels is needed"
        )
    doubled = next((name for name in header if header.count(name) > 1), None)
    if doubled is not None or "" in header:
        found = "an empty name" if doubled in {None, ""} else f"the name {doubled!r} twice"
        raise InputError(f"{path}: row {number}, the header, has {found}: give each column a name of its own")
    texts = []
    for number, fields in rows:
        if len(fields) != len(header):
            raise InputError(
                f"{path}: row {number} has {len(fields)} fields, the header {len(header)} ({', '.join(header)}); put a "
                f"field with {delimiter!r} in it into quotes"
            )
        texts.append((f"row {number}", fields))
    if not texts:
        raise InputError(f"{path} has no row under its header; a row for each picture is expected")
    columns = [_typed([fields[place] for _, fields in texts]) for place in range(len(header))]
    return Table(
        path,
        header,
        [
            (where, {name: column[row] for name, column in zip(header, columns, strict=True)})
            for row, (where, _) in enumerate(texts)
        ],
    )


def delimiter_of(path: Path) -> str:
    """What stands between the fields of a table: the sign that its header has most often.

    Raises:
        InputError: the file is empty or no text.
    """
    header = next((text for _, text in text_rows(path) if text.strip()), "")
    if not header:
        raise InputError(f"{path}: the file is empty; a header and a row for each picture are expected")
    return max(DELIMITERS, key=re.sub(r'"[^"]*"', "", header).count)


def _typed(texts: list[str]) -> list[Any]:
    """A column's values: numbers where all are, else text; None where there is none."""
    known = [text for text in texts if text.lower() not in MISSING_WORDS]
    numbers = bool(known) and all(NUMBER.fullmatch(text) for text in known)
    return [None if text.lower() in MISSING_WORDS else _number(text) if numbers else text for text in texts]


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else float(text)


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    for number, text in text_rows(path):
        if text.strip():
            try:
                yield f"row {number}", json.loads(text, object_pairs_hook=_object)
            except ValueError as error:
                raise InputError(f"{path}: row {number} is no JSON ({error}); correct it") from None


def _json_list(path: Path) -> Iterator[tuple[str, Any]]:
    found = read_json(path)
    if not isinstance(found, list):
        raise InputError(
            f"{path}: neither a list of objects nor COCO's annotations (`images`, `annotations`, `categories`); "
            "write a list with one object for each picture"
        )
    yield from ((f"entry {number}", each) for number, each in enumerate(found))


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        ConfigError: it is not there.
        InputError: it is no JSON.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_object)
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(f"--labels {path}: there is no such file; name the table of labels") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file and its permissions") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); correct it") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {doubled!r} is in one object twice")
    return found


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} is no Parquet, or is damaged ({error}); write it again") from None
    yield from ((f"row {number}", row) for number, row in enumerate(rows))


def _table(path: Path, found: Iterator[tuple[str, Any]]) -> Table:
    """Rows of JSON or Parquet, checked."""
    columns: dict[str, None] = {}
    rows = []
    for where, row in found:
        if not isinstance(row, dict):
            raise InputError(
                f"{path}: {where} is {json.dumps(row)[:80]}; an object with a key for each column is expected"
            )
        values = {str(name): _plain(value, path, where, str(name)) for name, value in row.items()}
        columns.update(dict.fromkeys(values))
        rows.append((where, values))
    if not rows:
        raise InputError(f"{path} has no row; a row for each picture is expected")
    return Table(path, list(columns), [(where, {name: row.get(name) for name in columns}) for where, row in rows])


def _plain(value: Any, path: Path, where: str, column: str) -> Any:
    """A value as strict JSON has it; NaN becomes None."""
    if isinstance(value, bytes):
        raise InputError(f"{path}: {where}, column {column!r}: bytes are no label; leave the column out of the table")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(inner, path, where, column) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, path, where, column) for inner in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
