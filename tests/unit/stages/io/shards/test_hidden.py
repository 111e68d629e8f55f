"""Undeclared text that holds the original, or leads to it, is refused; ordinary labels and captions are not."""

from __future__ import annotations

import base64
import json

import pytest
from PIL import Image

from schemas.config import Layout
from schemas.errors import RefusedInputError
from stages.io.shards.hidden import hidden_original
from stages.io.shards.layout import image_member, published_members
from stages.io.shards.sample import Member, Sample
from tests.builders import encoded, jpeg, picture, png

ORIGINAL = picture(0, 24, 24)
JPEG, PNG = jpeg(ORIGINAL), png(ORIGINAL)
WEBP = encoded(Image.fromarray(ORIGINAL), "WEBP")
BASE64 = base64.b64encode(JPEG).decode()

HIDING = {
    "base64 of a JPEG": json.dumps({"label": 1, "raw": BASE64}),
    "base64 of a PNG": json.dumps({"image": {"bytes": base64.b64encode(PNG).decode()}}),
    "base64 of a WebP": json.dumps([base64.b64encode(WEBP).decode()]),
    "base64 for URLs": json.dumps({"raw": base64.urlsafe_b64encode(JPEG).decode()}),
    "base64 with escaped slashes": json.dumps({"raw": BASE64}).replace("/", "\\/"),
    "base64 in lines": base64.encodebytes(JPEG).decode(),
    "hexadecimal": json.dumps({"raw": JPEG.hex()}),
    "compressed": json.dumps({"raw": base64.b64encode(bytes(range(256)) * 4).decode()}),
    "data URI": f'<img src="data:image/jpeg;base64,{BASE64}">',
    "short data URI": '{"icon": "data:;base64,AAAA"}',
    "SVG": '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>',
    "address": '{"caption": "a cat", "url": "https://example.org/17", "label": 1}',
    "checksum": json.dumps({"label": 1, "sha256": "0" * 64}),
    "EXIF": json.dumps({"label": 1, "exif": '{"GPS GPSLatitude": "[48, 8, 14]"}'}),
    "link in a caption": "from https://example.org/a/b.jpg?size=large",
}

ORDINARY = [
    '{"label": 3, "caption": "a cat on a mat", "width": 640}',
    '{"url": null, "sha256": "", "exif": "{}", "label": 1}',
    '{"study": "0f5d6c1a-9a44-4e0c-8a4c-1f9a4a0f3a11", "checked": "' + "ab" * 32 + '"}',
    "see https://example.org/licence for the terms",
    "\n".join("01" * 40 for _ in range(100)),
    "train/images/a_rather_long_directory_name/with-many-words-and/numbers_0001/IMG_20240101_000001",
    "7\n",
    json.dumps({"boxes": [[12.5, 3.25, 100, 200]] * 200}),
]


def sample(member: str, data: bytes) -> Sample:
    return Sample("s1", (Member("jpg", JPEG), Member(member, data)))


@pytest.mark.parametrize("text", HIDING.values(), ids=HIDING.keys())
def test_text_that_holds_or_finds_the_original_is_refused_unless_it_is_declared(text: str) -> None:
    found = sample("json", text.encode())
    with pytest.raises(RefusedInputError, match=r"'s1': member 'json' holds .*declare it `keep` or `drop`") as error:
        image_member(found, Layout())
    assert len(error.value.message) < 500
    with pytest.raises(RefusedInputError):
        published_members(found, Layout(), b"protected", "png")
    kept = published_members(found, Layout(members={"json": "keep"}), b"protected", "png")
    assert kept == [("s1.png", b"protected"), ("s1.json", text.encode())]
    dropped = published_members(found, Layout(members={"json": "drop"}), b"protected", "png")
    assert dropped == [("s1.png", b"protected")]


@pytest.mark.parametrize("text", ORDINARY)
def test_labels_captions_and_checksums_of_other_things_are_published(text: str) -> None:
    assert hidden_original(text) is None
    assert image_member(sample("json", text.encode()), Layout()).data == JPEG


def test_a_key_that_is_declared_by_name_is_passed_over() -> None:
    """A column of a Parquet file becomes a key of the member `json`."""
    found = sample("json", b'{"label": 1, "url": "https://example.org/17"}')
    assert image_member(found, Layout(members={"url": "keep"})).data == JPEG
