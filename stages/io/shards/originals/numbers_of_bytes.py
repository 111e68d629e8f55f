"""Numbers that are the bytes of a file: `[255, 216, 255, …]`, `ff d8 ff`, `11111111 11011000`."""

from __future__ import annotations

import re

import numpy as np

from stages.io.shards.originals.encoded import IMAGE, known_file
from stages.io.shards.originals.numbers import Floats, are_whole

_START = 72
"""Numbers or words that are looked at."""

_LATEST = 8
"""Numbers that may stand in front of the file: a label, a length, an address."""

_HEXADECIMAL = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2})+)")
_BINARY = re.compile(r"[01]{8}")


def file_in(numbers: Floats) -> str | None:
    """What numbers are, in words, if they are the bytes of an image or of a compressed file; signed bytes as well.

    >>> file_in(np.array([255, 216, 255, 224, 0, 16, 74, 70, *range(64)], np.float64))
    'an image'
    """
    start = np.nan_to_num(numbers[:_START], nan=-1000, posinf=1000, neginf=-1000)
    if not are_whole(start) or start.min() < -128 or start.max() > 255:
        return None
    return _file_in_bytes((start.astype(np.int64) & 255).astype(np.uint8).tobytes())


def file_in_words(words: list[str]) -> str | None:
    """The same of words: groups of hexadecimal digits of any even length, or of eight binary digits.

    >>> file_in_words("ffd8 ffe0 0010 4a46 4946 0001".split())
    'an image, written as hexadecimal digits'
    """
    start = words[:_START]
    if all(map(_BINARY.fullmatch, start)):
        found = _file_in_bytes(bytes(int(word, 2) for word in start))
        return found and f"{found}, written as binary digits"
    digits = [found[1] for found in map(_HEXADECIMAL.fullmatch, start) if found]
    if len(digits) < len(start) - 1:
        return None
    found = _file_in_bytes(bytes.fromhex("".join(digits)[: 2 * _START]))
    return found and f"{found}, written as hexadecimal digits"


def _file_in_bytes(start: bytes) -> str | None:
    """A compressed file at the very start; an image, whose first bytes say more, also a little later."""
    later = (known_file(start[offset:]) for offset in range(1, min(_LATEST, len(start)) + 1))
    return known_file(start) or next((found for found in later if found == IMAGE), None)
