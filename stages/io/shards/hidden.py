"""What undeclared text may hold: the original image in another spelling, or the way back to it."""

from __future__ import annotations

import base64
import binascii
import re

from stages.io.images.formats import image_extension

_SVG = re.compile(r"<svg[\s>]", re.IGNORECASE)
_DATA_URI = re.compile(r"\bdata:(?:image/|[^\s,\"'<>]{0,100};base64,)", re.IGNORECASE)
_LINK = re.compile(r"https?://[^\s\"'<>]+\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic|svg)\b", re.IGNORECASE)
_ORIGIN = re.compile(
    r'"((?:[a-z]+_)?ur[il]|md5|sha1|sha256|sha512|exif)"\s*:\s*+(?!null|"(?:null|None|\{\})?"|\{\s*\}|\[\s*\])',
    re.IGNORECASE,
)
"""Keys that img2dataset writes beside each image it downloads, with a value: address, checksum, EXIF (with GPS)."""

_RUN = re.compile(r"[A-Za-z0-9+/_-]{64,}")
_BREAK = re.compile(r"(?<=[A-Za-z0-9+/]{60})(?:\\r|\\n|\r|\n)+(?=[A-Za-z0-9+/])")
LONG_RUN = 1000
"""Letters of an unbroken run that is taken for encoded bytes, whatever they are; a checksum has 128."""

_CERTAIN = {"jpg", "png", "webp", "gif", "tiff", "jp2"}
"""Formats whose first bytes are too many to be there by chance."""


def hidden_original(text: str, declared: frozenset[str] = frozenset()) -> str | None:
    """What in a member's text may be the unprotected original or lead to it; None when nothing does.

    >>> hidden_original('{"label": 3, "caption": "a cat"}')
    >>> hidden_original('{"label": 3, "url": "https://example.org/17"}')
    "the key 'url', which leads back to the original"

    Args:
        text: the member.
        declared: keys of JSON that somebody has declared; they are passed over.
    """
    for match in _ORIGIN.finditer(text):
        if match[1] not in declared:
            return f"the key {match[1]!r}, which leads back to the original"
    if _DATA_URI.search(text):
        return "a data URI"
    if _SVG.search(text):
        return "an SVG picture"
    if link := _LINK.search(text):
        return f"a link to an image ({_start(link[0])})"
    return _encoded(_BREAK.sub("", text.replace("\\/", "/")))


def _encoded(text: str) -> str | None:
    """An image in base64 or hexadecimal digits, or a run so long that it is encoded bytes of some kind."""
    for run in _RUN.finditer(text):
        start = run[0][:64]
        for decode in (bytes.fromhex, base64.b64decode, base64.urlsafe_b64decode):
            try:
                extension = image_extension(decode(start))
            except (ValueError, binascii.Error):
                continue
            if extension in _CERTAIN:
                return f"an image in encoded form ({_start(run[0])})"
        kinds = sum(bool(re.search(kind, run[0])) for kind in ("[0-9]", "[a-z]", "[A-Z]"))
        if len(run[0]) >= LONG_RUN and kinds > 1:
            return f"{len(run[0])} letters of encoded bytes ({_start(run[0])})"
    return None


def _start(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"
