"""Bytes that are written as text: base64, hexadecimal digits, ASCII85, escapes, or as letters of Latin-1."""

from __future__ import annotations

import base64
import binascii
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

from stages.io.images.formats import image_extension

_UNBROKEN = re.compile(r"(?<![!-~])[!-~]{64,}")
_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{64,}")
_BREAK = re.compile(r"(?:\\r|\\n|\r|\n)++(?=[!-~])")
_ESCAPE = re.compile(r"\\+x[0-9a-fA-F]{2}|\\+u00[0-9a-fA-F]{2}|[%=][0-9a-fA-F]{2}")
_UUENCODED = re.compile(r"(?:^M[ -`]{56,60}\s*$\s*){3}", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")

LONG_RUN = 1000
"""Letters of an unbroken run that is taken for encoded bytes, whatever they are; a checksum has 128."""

ESCAPES = 256
"""Escaped bytes in one text that are taken for encoded bytes; an address in another script has fewer."""

DENSE = 5.8
"""Bits of each letter of a long run, by the frequency of its letters: ASCII85 has 6.3, base64 6, words and masks 5."""

_CERTAIN = {"jpg", "png", "webp", "gif", "tiff", "jp2"}
"""Formats whose first bytes are too many to be there by chance."""

_PACKED = re.compile(
    rb"\x1f\x8b\x08|PK\x03\x04|BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|\x93NUMPY|\x80[\x02-\x05]\x95|BLOSC"
)
"""gzip, zip, bzip2, xz, zstd, numpy and pickle."""


def encoded_bytes(text: str) -> Iterator[str]:
    """What in a text is encoded bytes, in words: an image, compressed bytes, or a run too long for anything else."""
    for word in _UNBROKEN.finditer(_without_breaks(text.replace("\\/", "/"))):
        for run in _RUN.finditer(word[0]):
            if found := _known(run[0][:64]):
                yield f"{found} in encoded form ({start_of(run[0])})"
            kinds = sum(bool(re.search(kind, run[0])) for kind in ("[0-9]", "[a-z]", "[A-Z]"))
            if len(run[0]) >= LONG_RUN and kinds > 1:
                yield f"{len(run[0])} letters of encoded bytes ({start_of(run[0])})"
        if len(word[0]) >= LONG_RUN and _bits(word[0][:4096]) >= DENSE:
            yield f"{len(word[0])} letters of encoded bytes ({start_of(word[0])})"
    if sum(map(text.count, "%=\\")) >= ESCAPES and sum(1 for _ in _ESCAPE.finditer(text)) >= ESCAPES:
        yield "bytes written as escapes"
    if "\nM" in text and _UUENCODED.search(text):
        yield "bytes written by uuencode"
    if len(_CONTROL.findall(text[:4096])) >= 16:
        yield "bytes written as letters"


def _without_breaks(text: str) -> str:
    """A text whose long unbroken lines are one: base64 and ASCII85 are often wrapped."""

    def joined(found: re.Match[str]) -> str:
        before = text[max(0, found.start() - 60) : found.start()]
        return "" if len(before) == 60 and len(before.split()) == 1 and before[0] > " " else found[0]

    return _BREAK.sub(joined, text) if "\n" in text or "\r" in text or "\\" in text else text


def chunks_of_one(parts: list[str]) -> Iterator[str]:
    """What a list of texts of one length is, when they are parts of one encoded file."""
    parts = [part for part in parts if part]
    if len(parts) > 1 and len(parts[0]) >= 16 and len({len(part) for part in parts[:-1]}) == 1:
        start = "".join(parts[:4])[:64]
        if found := _known(start):
            yield f"{found} in encoded form, in {len(parts)} parts ({start_of(start)})"


def _known(start: str) -> str | None:
    """What the first letters of a run are; they are decoded in every way that there is."""
    whole = start[: len(start) // 4 * 4]
    decoders: tuple[Callable[[str], bytes], ...] = (
        bytes.fromhex,
        base64.b64decode,
        base64.urlsafe_b64decode,
        base64.b85decode,
    )
    for decode in decoders:
        try:
            data = decode(whole)
        except (ValueError, binascii.Error):
            continue
        if image_extension(data) in _CERTAIN:
            return "an image"
        if _PACKED.match(data) or _is_deflated(data):
            return "compressed bytes"
    return None


def _is_deflated(data: bytes) -> bool:
    """Whether zlib takes it; the check of its header alone passes by chance."""
    if data[:1] != b"\x78":
        return False
    try:
        return bool(zlib.decompressobj().decompress(data)) or len(data) < 64
    except zlib.error:
        return False


def _bits(text: str) -> float:
    """Entropy of a text's letters, in bits."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())


def start_of(text: str) -> str:
    """The start of a long text, for a message."""
    return text if len(text) <= 40 else f"{text[:37]}…"
