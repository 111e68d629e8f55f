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
_ESCAPE = re.compile(
    r"\\+x[0-9a-fA-F]{2}|\\+u00[0-9a-fA-F]{2}|\\+[0-3][0-7]{2}|[%=][0-9a-fA-F]{2}"
    r"|&#(?:[xX][0-9a-fA-F]{1,2}|[12]?[0-9]{1,2});"
)
_UUENCODED = re.compile(r"(?:^M[ -`]{56,60}\s*$\s*){3}", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")

IMAGE = "an image"

LONG_RUN = 1000
"""Letters of an unbroken run that is taken for encoded bytes, whatever they are; a checksum has 128."""

ESCAPES = 256
"""Escaped bytes in one text that are taken for encoded bytes; an address in another script has fewer."""

DENSE = 5.8
"""Bits of each letter of a long run, by the frequency of its letters: ASCII85 has 6.3, base64 6, words and masks 5."""

SHORTEST_PIECE = 4
"""Letters of the shortest piece of an encoded file that is broken into pieces."""

DENSE_PIECES = 5.0
"""Bits of each letter of many pieces together. Prose has 4.3, names and paths 4.8; pixels in base64 have more."""

_JOINT = re.compile(r"[\"'`][\s,+\\]*[\"'`]|[\"'`]|\\[rn]|,")
_LETTERS = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{16,}")
_FIRST_LETTERS = re.compile(
    r"[_/]9j[_/]|iVBO|UklG|R0lG|SUkq|TU0A|H4sI|UEsD|Qlpo|[_/]Td6|KLUv|k05V|gA|eJ|eN|eA|eF"
    r"|(?i:ffd8|8950|5249|4749|4949|4d4d|1f8b|504b|425a|fd37|28b5|934e|80|78)"
)
"""How an image or a compressed file begins in base64 or hexadecimal digits."""

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
    yield from _in_pieces(text)
    if sum(map(text.count, "%=\\&")) >= ESCAPES and sum(1 for _ in _ESCAPE.finditer(text)) >= ESCAPES:
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


def _in_pieces(text: str) -> Iterator[str]:
    """The same of bytes that are broken into short pieces by spaces, lines, or quotes with a comma or plus."""
    run: list[str] = []
    for piece in (*_JOINT.sub(" ", text).split(), ""):
        if len(piece) >= SHORTEST_PIECE and _LETTERS.fullmatch(piece):
            run.append(piece)
            continue
        if len(run) > 1:
            yield from _of_pieces(run)
        # The last piece of a file is shorter than the others.
        run = []


def _of_pieces(pieces: list[str]) -> Iterator[str]:
    for number, piece in enumerate(pieces):
        start = "".join(pieces[number : number + 16])[:64]
        if _FIRST_LETTERS.match(piece) and len(start) == 64 and (found := _known(start)):
            yield f"{found} in encoded form, in pieces ({start_of(start)})"
            return
    whole = "".join(pieces)
    digits = all(map(_HEXADECIMAL.fullmatch, pieces)) and bool(re.search("[a-fA-F]", whole))
    if len(whole) >= LONG_RUN and (digits or _bits(whole[:4096]) >= DENSE_PIECES):
        yield f"{len(whole)} letters of encoded bytes, in {len(pieces)} pieces ({start_of(pieces[0])})"


def chunks_of_one(parts: list[str]) -> Iterator[str]:
    """What a list of texts of one length is, when they are parts of one encoded file."""
    parts = [part for part in parts if part]
    if len(parts) > 1 and len(parts[0]) >= 16 and len({len(part) for part in parts[:-1]}) == 1:
        start = "".join(parts[:4])[:64]
        if found := _known(start):
            yield f"{found} in encoded form, in {len(parts)} parts ({start_of(start)})"
            return
    yield from _in_pieces(" ".join(parts))


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
        if found := known_file(data):
            return found
    return None


def known_file(start: bytes) -> str | None:
    """What the first bytes of a file say it is, where they are too many to be there by chance."""
    if image_extension(start) in _CERTAIN:
        return IMAGE
    return "compressed bytes" if _PACKED.match(start) or _is_deflated(start) else None


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
