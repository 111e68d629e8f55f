"""Reading the lists that come with a dataset: text and CSV, in constant memory, with the row in every error."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from schemas.errors import ConfigError, InputError

LINE_LIMIT = 2**20
"""Longest row that is read, in bytes: a binary file has no line ends."""

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, the longer before the shorter that they begin with."""


def find_file(source: Path, *names: str) -> Path:
    """The first of several paths below a directory that is a file.

    Raises:
        ConfigError: none is there.
    """
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder; name the folder that holds {names[0]}")
    for name in names:
        if (source / name).is_file():
            return source / name
    raise ConfigError(f"{source} has no {' or '.join(names)}; name the folder that holds it")


def find_folder(source: Path, *names: str) -> Path:
    """The first of several paths below a directory that is a directory.

    Raises:
        ConfigError: none is there.
    """
    found = next((source / name for name in names if (source / name).is_dir()), None)
    if found is None:
        raise ConfigError(f"{source} has no folder {' or '.join(names)}; name the folder that holds it")
    return found


def text_rows(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every row, without its line end: UTF-8, or UTF-16 and UTF-32 with their mark.

    Raises:
        InputError: the file cannot be read, or is in another encoding.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
            file.seek(0)
            if encoding is not None:
                yield from _wide_rows(path, encoding)
                return
            number = 0
            while line := file.readline(LINE_LIMIT):
                number += 1
                yield number, _decoded(line, path, number)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file and its permissions") from None


def _decoded(line: bytes, path: Path, number: int) -> str:
    if b"\0" in line:
        raise InputError(
            f"{path}: row {number} has NUL bytes: it is no text, or UTF-16 without its byte order mark; "
            "save the file as UTF-8"
        )
    if len(line) == LINE_LIMIT:
        raise InputError(f"{path}: row {number} is longer than {LINE_LIMIT} bytes: it is no list; fetch the file again")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: row {number} is not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}, as in a file "
            "saved as Latin-1 or Windows-1252; save the file as UTF-8"
        ) from None


def _wide_rows(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with path.open(encoding=encoding, newline=None) as file:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\r\n")
    except UnicodeError as error:
        raise InputError(f"{path}: row {number + 1} is not {encoding} ({error}); save the file as UTF-8") from None


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every row of a CSV file that is not empty, its header among them; fields are stripped.

    Raises:
        InputError: as `text_rows`; or a row is no CSV (a quote that is never closed).
    """
    lines = (f"{text}\n" for _, text in text_rows(path))
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise InputError(f"{path}: row {reader.line_num} is no CSV ({error}); fix the row, or fetch it again") from None


def columns_of(header: list[str], path: Path, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Where each wanted column stands in a header.

    Args:
        header: the fields of the first row.
        path: the file, for messages.
        wanted: our name of a column → its names in files, upper and lower case alike.

    Raises:
        InputError: a column is not there.
    """
    places = {name.lower(): place for place, name in reversed(list(enumerate(header)))}
    found = {}
    for own, names in wanted.items():
        place = next((places[name.lower()] for name in names if name.lower() in places), None)
        if place is None:
            raise InputError(
                f"{path}: row 1 has no column {' or '.join(map(repr, names))}; found {', '.join(header)}; "
                "it is another file, or its header is missing"
            )
        found[own] = place
    return found
