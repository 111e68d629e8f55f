"""Names, links and paths in text that lead to the original, and names of numbers that were computed from it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from stages.io.shards.originals.encoded import start_of

LEADS_BACK = "an address, checksum, EXIF or GPS, which leads back to the original,"

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_LEADING = re.compile(
    r"(?:image)?ur[il]s?|md5(?:sum)?|sha(?:1|224|256|384|512)?(?:sum)?|crc(?:32c?)?|etag|[a-z]*hash|checksum|digest"
    r"|exif.*|xmp|iptc|gps.*|lat|lon|lng|latitude|longitude|geo(?:tag|location)"
)
_COMPUTED = re.compile(r"emb|embeds?|embeddings?|latents?|vae|features?|activations?|descriptors?|clip|dino(?:v\d)?")
_EMPTY = frozenset({"", "null", "none", "nan", "{}", "[]", "~", "true", "false"})

_ENDING = re.compile(
    r"\.(?:jpe?g?|jfif|png|webp|gif|bmp|tiff?|avif|hei[cf]|jxl|jp2|p[gpnb]m|psd|svg|dng|nef|cr[23w]|arw|orf|rw2|raf|dcm"
    r"|nii|np[yz]|tar|zip|parquet|tfrecord)\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,15}:)?//[^\s\"'<>]+|\bwww\.[^\s\"'<>]+", re.IGNORECASE)
_HOST_OF_PICTURES = re.compile(
    r"//(?:[\w-]+\.)*(?:flickr|staticflickr|imgur|instagram|pinterest|pinimg|unsplash|pexels|500px|drive\.google"
    r"|photos\.google|photos\.app\.goo|googleusercontent|dropbox|1drv|imgbb)\.",
    re.IGNORECASE,
)
_LOCAL = re.compile(r"(?<![\w.:/\\~-])(?:[A-Za-z]:[\\/]|\\\\|~?/(?![/*\s]))[^\s\"'<>|,;]*")
_NAMED = re.compile(r"^[\s-]*[\"']?([\w.-]{1,40}(?: [\w.-]{1,20})?)[\"']?[ \t]*[:=][ \t]+(?=\S)(.*)$", re.MULTILINE)
"""A line of YAML, of a header or of an INI file."""
_TAG = re.compile(r"<([\w:.-]{1,40})>\s*([^<\s][^<]*)|([\w:.-]{1,40})\s*=\s*[\"']([^\"'#][^\"']*)[\"']")
"""An element or attribute of XML."""
_IN_JSON = re.compile(r'"([^"\\]{1,40})"\s*+:\s*+("[^"]*"|[^\s,}\]]+)')
"""A key of JSON that is broken."""


@lru_cache(maxsize=4096)
def leads_back(name: str) -> bool:
    """Whether a key is one of those that img2dataset, EXIF readers and others write about the original.

    >>> [leads_back(name) for name in ("image_url", "GPSLatitude", "image_phash", "colour")]
    [True, True, True, False]
    """
    return any(_LEADING.fullmatch(word.lower()) for word in _WORDS.findall(name))


@lru_cache(maxsize=4096)
def is_computed(name: str) -> bool:
    """Whether a key is that of an embedding or latent: whoever has it learns from the original without the image.

    >>> [is_computed(name) for name in ("clip_embedding", "vae.latent", "feature_names", "label")]
    [True, True, True, False]
    """
    return any(_COMPUTED.fullmatch(word.lower()) for word in _WORDS.findall(name))


def is_empty(value: Any) -> bool:
    """Whether a value says no more than yes, no or nothing."""
    if isinstance(value, str):
        return value.strip().strip("\"'").lower() in _EMPTY
    return value is None or isinstance(value, bool) or value == []


def links_in(text: str) -> Iterator[str]:
    """Links to images, and paths of a disk, in words."""
    if "//" in text or "www." in text:
        for link in _ADDRESS.finditer(text):
            if _ENDING.search(link[0]) or _HOST_OF_PICTURES.search(link[0]):
                yield f"a link to an image ({start_of(link[0])})"
    if "/" in text or "\\" in text:
        for path in _LOCAL.finditer(text):
            if _ENDING.search(path[0]) and len(re.findall(r"[\\/]+", path[0])) > 1:
                yield f"the path of an image on a disk ({start_of(path[0])})"


def keys_in(text: str) -> Iterator[str]:
    """Keys that lead back in text that is no JSON: lines `url: …`, XML, the columns of a CSV file, broken JSON."""
    pairs: list[tuple[str, str]] = []
    if ":" in text or "=" in text:
        pairs += _NAMED.findall(text)
    if "<" in text or "=" in text:
        pairs += [(found[0] or found[2], found[1] or found[3]) for found in _TAG.findall(text)]
    if '":' in text or '" :' in text:
        pairs += _IN_JSON.findall(text)
    pairs += _columns(text)
    for name, value in pairs:
        if leads_back(name) and not is_empty(value):
            yield f"the key {name!r}, which leads back to the original,"


def _columns(text: str) -> Iterator[tuple[str, str]]:
    """Each name in the first line of a table with a value below it."""
    lines = text.splitlines()[:10]
    sign = next((sign for sign in ",;\t|" if lines and sign in lines[0]), "")
    if not sign or len(lines) < 2 or len(lines[0]) > 4096:
        return
    names, *rows = csv.reader([line[:4096] for line in lines], delimiter=sign)
    for row in rows:
        yield from zip(names, row, strict=False)
