"""What text and JSON may hold: the original image in another spelling, or the way back to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stages.io.shards.originals.encoded import chunks_of_one, encoded_bytes
from stages.io.shards.originals.leading import LEADS_BACK, is_computed, is_empty, keys_in, leads_back, links_in
from stages.io.shards.originals.numbers import FEWEST, Floats, Size, are_whole, numbers_of, pixels_in, runs_of
from stages.io.shards.originals.numbers_of_bytes import file_in, file_in_words

SVG = "an SVG picture"

_SVG = re.compile(r"<svg[\s>]", re.IGNORECASE)
_DATA_URI = re.compile(r"\bdata:(?:image/|[^\s,:\"'<>]{0,100};base64,)", re.IGNORECASE)
_SIGNS = re.compile(r"[/\\:=<\[{\n]|www\.")
"""One of these is in every short text that is found."""

_NAMES_OF_NAMES, _NAMES_OF_VALUES = frozenset({"name", "key", "tag", "field"}), frozenset({"value", "val", "content"})
"""Keys of an object that is itself a key and its value: `{"tag": "GPSLatitude", "value": 48.1}`."""
_COMPUTED = "of an embedding or latent, from which others learn as from the original,"
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
    text: str,
    size: Callable[[], Size | None] = lambda: None,
    passed_over: frozenset[str] = frozenset(),
    name: str = "",
) -> Iterator[Hidden]:
    """What in a member's text may be the unprotected original or lead to it.

    JSON is read as such, whatever the member's name, and so are JSON Lines and JSON in a text of JSON. Found are: keys
    that lead back (`url`, `md5`, `phash`, `exif`, `gps…`, also in YAML, XML and CSV), links to images and paths of a
    disk, data URIs, SVG, encoded bytes, numbers that are the bytes of a file (`file_in`) or pixels (`pixels_in`), and
    numbers under a key that says embedding or latent.

    It does not recognise: encrypted or permuted pixels, numbers spread over several members or samples, encodings with
    an alphabet outside ASCII. Nor captions that describe an image, a few pixels, a thumbnail of less than 12×12, and
    embeddings under another name.

    >>> list(hidden_originals('{"label": 3, "caption": "a cat"}'))
    []
    >>> next(hidden_originals('{"label": 3, "url": "https://example.org/17"}'))
    Hidden(what='an address, checksum, EXIF or GPS, which leads back to the original,', key='url')

    Args:
        text: the member.
        size: H and W of the sample's image; called only where there are many numbers.
        passed_over: dotted keys of JSON that are declared.
        name: the member's, where nobody has declared it: `emb`, `url.txt`.
    """
    if leads_back(name) and not is_empty(text):
        yield Hidden(LEADS_BACK)
    scan = _Scan(size, passed_over, name)
    try:
        yield from scan.text(text, "", _Numbers(), 0)
    except RecursionError:
        yield Hidden("JSON that is nested too deeply to be checked")


class _Scan:
    def __init__(self, size: Callable[[], Size | None], passed_over: frozenset[str], name: str = "") -> None:
        self.size, self.passed_over, self.name = size, passed_over, name

    def text(self, text: str, key: str, numbers: _Numbers, depth: int) -> Iterator[Hidden]:
        """Anything in a text; `numbers` receives the numbers of JSON in it."""
        if _is_harmless(text):
            return
        values = _json_in(text)
        if values is None:
            for kind in self.plain(text, key):
                yield Hidden(kind, key)
            return
        # Nobody can name a key of JSON that is a text itself, or a line of many.
        inner = self if depth == 0 and len(values) == 1 else _Scan(self.size, frozenset(), self.named(key))
        for value in values:
            for found in inner.value(value, "", numbers, depth + 1):
                yield found if inner is self else replace(found, key=key)
        if len(values) > 1 and (together := self.all_of(numbers)):
            yield Hidden(together, key)

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
            if (len(inner.parts) > 1 or isinstance(value, _Object)) and (what := self.all_of(inner)):
                yield Hidden(what, key)
            if depth < _DEEPEST_SUM:
                numbers.parts += inner.parts
                numbers.count += inner.count

    def object(self, pairs: _Object, key: str, numbers: _Numbers, depth: int) -> Iterator[Hidden]:
        """Anything under the keys of an object."""
        loose: list[float] = []
        if _is_named_value(pairs):
            yield Hidden(LEADS_BACK, key)
        for name, value in pairs:
            inner = f"{key}.{name}" if key else name
            if value is None or inner in self.passed_over:
                continue
            if leads_back(name) and not is_empty(value):
                yield Hidden(LEADS_BACK, inner)
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
            if found := self.numbers(array.reshape(-1), array.shape[0] if array.ndim > 1 else 0, key):
                yield Hidden(found, key)
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) > 1 and len(texts) == len(values):
            for what in (*chunks_of_one(texts), *self.plain_numbers(" ".join(texts), key)):
                yield Hidden(what, key)
        for value in values:
            if value is not None and not (isinstance(value, str) and _is_harmless(value)):
                if _is_pair(value):
                    yield Hidden(LEADS_BACK, key)
                yield from self.value(value, key, numbers, depth + 1)

    def plain(self, text: str, key: str) -> Iterator[str]:
        """What a text that is no JSON holds, in words."""
        yield from links_in(text)
        if "data:" in text.lower() and _DATA_URI.search(text):
            yield "a data URI"
        if "<" in text and _SVG.search(text):
            yield SVG
        yield from keys_in(text)
        if len(text) < FEWEST:
            return
        yield from self.plain_numbers(text, key)
        yield from encoded_bytes(text)
        if is_computed(self.named(key)) and len(text.split()) == 1:
            yield f"{len(text)} letters {_COMPUTED}"

    def plain_numbers(self, text: str, key: str) -> Iterator[str]:
        """Runs of numbers in a text that are pixels or bytes, each by itself or all together."""
        every = _Numbers()
        for words, lines in runs_of(text):
            numbers = numbers_of(words)
            every.add(numbers)
            if what := file_in_words(words) or self.numbers(numbers, lines, key):
                yield what
        if len(every.parts) > 1 and (what := self.all_of(every)):
            yield what

    def numbers(self, numbers: Floats, rows: int = 0, key: str = "") -> str | None:
        """What a run of numbers is, in words."""
        if len(numbers) < FEWEST:
            return None
        if found := file_in(numbers):
            return f"{found}, written as {len(numbers)} numbers"
        if pixels_in(numbers, self.size(), rows):
            return f"{len(numbers)} numbers that look like pixels"
        if is_computed(self.named(key)) and not are_whole(numbers):
            return f"{len(numbers)} numbers {_COMPUTED}"
        return None

    def all_of(self, numbers: _Numbers) -> str | None:
        """What numbers are that stand apart."""
        return self.numbers(np.concatenate(numbers.parts)) if numbers.count >= FEWEST else None

    def named(self, key: str) -> str:
        """The name of a value: its key, below the name of the member."""
        return f"{self.name}.{key}"


def _is_harmless(text: str) -> bool:
    """Whether a text is too short to hold anything; most texts of JSON are, and cost no more than this."""
    return len(text) < _SHORT or (len(text) < FEWEST and not _SIGNS.search(text))


def _is_named_value(pairs: _Object) -> bool:
    """Whether an object has a key that leads back, and its value, as two values of its own."""
    names = (value for name, value in pairs if name.lower() in _NAMES_OF_NAMES and isinstance(value, str))
    values = (value for name, value in pairs if name.lower() in _NAMES_OF_VALUES)
    return any(map(leads_back, names)) and not all(map(is_empty, values))


def _is_pair(value: Any) -> bool:
    """Whether a list is a key that leads back and its value: a map of Parquet is a list of such."""
    if not isinstance(value, list) or len(value) != 2 or isinstance(value, _Object):
        return False
    return isinstance(value[0], str) and leads_back(value[0]) and not is_empty(value[1])


def _json_in(text: str) -> list[Any] | None:
    """The JSON values of a text: one, or one a line; None where it is no JSON object or list."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    try:
        return [_DECODER.decode(text)]
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
    try:
        return [_DECODER.decode(line) for line in lines] if len(lines) > 1 else None
    except ValueError:
        return None


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
