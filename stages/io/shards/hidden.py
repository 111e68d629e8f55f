"""What text and JSON may hold: the original image in another spelling, or the way back to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from stages.io.shards.encoded import chunks_of_one, encoded_bytes, start_of
from stages.io.shards.numbers import FEWEST, Floats, Size, numbers_of, pixels_in, runs_of

SVG = "an SVG picture"

_SVG = re.compile(r"<svg[\s>]", re.IGNORECASE)
_DATA_URI = re.compile(r"\bdata:(?:image/|[^\s,:\"'<>]{0,100};base64,)", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:https?|ftp|s3|gs)://[^\s\"'<>]+", re.IGNORECASE)
_ENDING = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic|svg)\b", re.IGNORECASE)
_ORIGIN = re.compile(
    r'"((?:[a-z]+_)*+(?:ur[il]|md5|sha1|sha256|sha512|exif|gps[a-z]*+))"\s*+:\s*+'
    r'(?!null|true|false|"(?:null|None|\{\})?"|\{\s*+\}|\[\s*+\])',
    re.IGNORECASE,
)
"""Keys as `leads_back` has them, in JSON that is broken."""

_SIGNS = re.compile(r"://|data:|<svg|[\[{]", re.IGNORECASE)
"""One of these is in every short text that is found."""

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_LEADING = re.compile(r"(?:image)?ur[il]s?|md5(?:sum)?|sha(?:1|224|256|384|512)?(?:sum)?|exif.*|gps.*")
_EMPTY = frozenset({"", "null", "none", "nan", "{}", "[]"})
_NUMBER = (int, float)
_SHORT = 12
"""Letters below which no text is more than a word."""
_DEEPEST_ARRAY = 4
"""Axes of an array: images, rows, columns, channels."""
_DEEPEST_SUM = 8
"""Levels of JSON below which numbers of several keys are no longer put together."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Something that may be the original or lead to it."""

    what: str
    """In words, to follow on `member 'json' holds`."""
    key: str = ""
    """Dotted JSON key; empty where it is the whole text."""


class _Object(list[tuple[str, Any]]):
    """The keys and values of a JSON object, doubled keys as well."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Object)


@dataclass(slots=True)
class _Numbers:
    """The numbers below one JSON value."""

    parts: list[Floats] = field(default_factory=list)
    count: int = 0

    def add(self, numbers: Floats) -> None:
        self.parts.append(numbers)
        self.count += len(numbers)


def hidden_originals(
    text: str, size: Callable[[], Size | None] = lambda: None, passed_over: frozenset[str] = frozenset()
) -> Iterator[Hidden]:
    """What in a member's text may be the unprotected original or lead to it.

    JSON is read as such, whatever the member's name, and so are JSON Lines and JSON in a text of JSON. Found are: keys
    that lead back (`url`, `md5`, `sha256`, `exif`, `gps…`), links to images, data URIs, SVG, encoded bytes, and numbers
    that are pixels (`pixels_in`).

    It does not recognise: encrypted or permuted pixels, numbers spread over several members or samples, encodings with
    an alphabet outside ASCII. Nor captions that describe an image, a few pixels, a thumbnail of less than 12×12.

    >>> list(hidden_originals('{"label": 3, "caption": "a cat"}'))
    []
    >>> next(hidden_originals('{"label": 3, "url": "https://example.org/17"}'))
    Hidden(what='an address, checksum, EXIF or GPS, which leads back to the original,', key='url')

    Args:
        text: the member.
        size: H and W of the sample's image; called only where there are many numbers.
        passed_over: dotted keys of JSON that are declared.
    """
    scan = _Scan(size, passed_over)
    try:
        yield from scan.text(text, "", _Numbers(), 0)
    except RecursionError:
        yield Hidden("JSON that is nested too deeply to be checked")


class _Scan:
    def __init__(self, size: Callable[[], Size | None], passed_over: frozenset[str]) -> None:
        self.size, self.passed_over = size, passed_over

    def text(self, text: str, key: str, numbers: _Numbers, depth: int) -> Iterator[Hidden]:
        """Anything in a text; `numbers` receives the numbers of JSON in it."""
        if _is_harmless(text):
            return
        values = _json_in(text)
        if values is None:
            for what in self.plain(text):
                yield Hidden(what, key)
            return
        # Nobody can name a key of JSON that is a text itself, or a line of many.
        inner = self if depth == 0 and len(values) == 1 else _Scan(self.size, frozenset())
        for value in values:
            for found in inner.value(value, "", numbers, depth + 1):
                yield found if inner is self else replace(found, key=key)
        if len(values) > 1 and self.are_pixels(numbers):
            yield Hidden(f"{numbers.count} numbers that look like pixels", key)

    def value(self, value: Any, key: str, numbers: _Numbers, depth: int) -> Iterator[Hidden]:
        """Anything in a JSON value."""
        if isinstance(value, str):
            yield from self.text(value, key, numbers, depth + 1)
        elif isinstance(value, _NUMBER):
            numbers.add(_array([value]))
        elif isinstance(value, list) and value:
            inner = _Numbers()
            if isinstance(value, _Object):
                yield from self.object(value, key, inner, depth)
            else:
                yield from self.list(value, key, inner, depth)
            if (len(inner.parts) > 1 or isinstance(value, _Object)) and self.are_pixels(inner):
                yield Hidden(f"{inner.count} numbers that look like pixels", key)
            if depth < _DEEPEST_SUM:
                numbers.parts += inner.parts
                numbers.count += inner.count

    def object(self, pairs: _Object, key: str, numbers: _Numbers, depth: int) -> Iterator[Hidden]:
        """Anything under the keys of an object."""
        loose: list[float] = []
        for name, value in pairs:
            inner = f"{key}.{name}" if key else name
            if value is None or inner in self.passed_over:
                continue
            if leads_back(name) and not _is_empty(value):
                yield Hidden("an address, checksum, EXIF or GPS, which leads back to the original,", inner)
            if isinstance(value, _NUMBER):
                loose.append(value)
            elif not (isinstance(value, str) and _is_harmless(value)):
                yield from self.value(value, inner, numbers, depth + 1)
        if loose:
            numbers.add(_array(loose))

    def list(self, values: list[Any], key: str, numbers: _Numbers, depth: int) -> Iterator[Hidden]:
        """Anything in a list; `numbers` receives what is a number in it, at any depth."""
        array = _numeric(values)
        if array is None:
            loose = [value for value in values if isinstance(value, _NUMBER)]
            array = _array(loose) if loose else None
            values = [value for value in values if not isinstance(value, _NUMBER)]
        else:
            values = []
        if array is not None:
            numbers.add(array.reshape(-1))
            if array.size >= FEWEST and pixels_in(array.reshape(-1), self.size(), _rows_of(array)):
                yield Hidden(f"{array.size} numbers that look like pixels", key)
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) > 1 and len(texts) == len(values):
            for what in (*chunks_of_one(texts), *self.plain_numbers(" ".join(texts))):
                yield Hidden(what, key)
        for value in values:
            if value is not None and not (isinstance(value, str) and _is_harmless(value)):
                yield from self.value(value, key, numbers, depth + 1)

    def plain(self, text: str) -> Iterator[str]:
        """What a text that is no JSON holds, in words."""
        if "://" in text:
            for link in _ADDRESS.finditer(text):
                if _ENDING.search(link[0]):
                    yield f"a link to an image ({start_of(link[0])})"
        if "data:" in text.lower() and _DATA_URI.search(text):
            yield "a data URI"
        if "<" in text and _SVG.search(text):
            yield SVG
        if len(text) < FEWEST:
            return
        if '"' in text and (origin := _ORIGIN.search(text)):
            yield f"the key {origin[1]!r}, which leads back to the original"
        yield from self.plain_numbers(text)
        yield from encoded_bytes(text)

    def plain_numbers(self, text: str) -> Iterator[str]:
        """Runs of numbers in a text that are pixels, each by itself or all together."""
        every = _Numbers()
        for words, lines in runs_of(text):
            numbers = numbers_of(words)
            every.add(numbers)
            if len(numbers) >= FEWEST and pixels_in(numbers, self.size(), lines):
                yield f"{len(numbers)} numbers that look like pixels"
        if len(every.parts) > 1 and self.are_pixels(every):
            yield f"{every.count} numbers that look like pixels"

    def are_pixels(self, numbers: _Numbers) -> bool:
        return numbers.count >= FEWEST and pixels_in(np.concatenate(numbers.parts), self.size())


def _is_harmless(text: str) -> bool:
    """Whether a text is too short to hold anything; most texts of JSON are, and cost no more than this."""
    return len(text) < _SHORT or (len(text) < FEWEST and not _SIGNS.search(text))


def _json_in(text: str) -> list[Any] | None:
    """The JSON values of a text: one, or one a line; None where it is no JSON object or list."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    try:
        return [_parsed(text)]
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
    try:
        return [_parsed(line) for line in lines] if len(lines) > 1 else None
    except ValueError:
        return None


def _parsed(text: str) -> Any:
    return _DECODER.decode(text)


@lru_cache(maxsize=4096)
def leads_back(name: str) -> bool:
    """Whether a key is one of those that img2dataset, EXIF readers and others write about the original.

    >>> [leads_back(name) for name in ("image_url", "GPSLatitude", "md5", "colour")]
    [True, True, True, False]
    """
    return any(_LEADING.fullmatch(word.lower()) for word in _WORDS.findall(name))


def _is_empty(value: Any) -> bool:
    """Whether a value says no more than yes, no or nothing."""
    if isinstance(value, str):
        return value.strip().lower() in _EMPTY
    return value is None or isinstance(value, bool) or value == []


def _numeric(values: list[Any]) -> Floats | None:
    """A list of numbers, nested evenly, as an array; None where it is anything else."""
    first: Any = values
    for _ in range(_DEEPEST_ARRAY + 1):
        if not isinstance(first, list) or isinstance(first, _Object) or not first:
            break
        first = first[0]
    if not isinstance(first, _NUMBER) and first is not None:
        return None
    try:
        return _array(values)
    except (ValueError, TypeError):
        return None


def _array(values: list[Any]) -> Floats:
    try:
        return np.array(values, np.float64)
    except OverflowError:  # a whole number of over 300 digits
        return np.zeros(len(values))


def _rows_of(array: Floats) -> int:
    return array.shape[0] if array.ndim > 1 else 0
