"""Other spellings of the original, and other ways back to it, than those of `test_hidden`."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest

from schemas.dataset import Layout
from schemas.errors import RefusedInputError
from schemas.tasks import Task
from stages.io.shards.layout import image_member
from stages.io.shards.originals.hidden import hidden_originals
from stages.io.shards.sample import Member, Sample
from tests.builders import jpeg, picture, png

JPEG = jpeg(picture(0, 48, 64))
PNG = png(picture(0, 24, 32))
GRAY = picture(0, 24, 32)[..., 0]
BASE64, RAW = base64.b64encode(JPEG).decode(), base64.b64encode(GRAY.tobytes()).decode()
RNG = np.random.default_rng(0)


def pieces(text: str, length: int, joint: str) -> str:
    return joint.join(text[start : start + length] for start in range(0, len(text), length))


BYTES = {
    "numbers": json.dumps({"image": [*JPEG]}),
    "numbers of a PNG": json.dumps({"image": [*PNG]}),
    "signed numbers": json.dumps({"image": [byte - 256 * (byte > 127) for byte in JPEG]}),
    "numbers of gzip": json.dumps([*gzip.compress(b"pixels")] * 4),
    "a Buffer of Node": json.dumps({"image": {"type": "Buffer", "data": [*JPEG]}}),
    "a key for each byte": json.dumps({"image": {str(number): byte for number, byte in enumerate(JPEG)}}),
    "a label before the numbers": json.dumps([7, *JPEG]),
    "decimal words": " ".join(map(str, JPEG)),
    "hexadecimal pairs": JPEG.hex(" "),
    "hexadecimal groups": JPEG.hex(" ", 4),
    "colons": JPEG.hex(":"),
    "hexadecimal numbers": ", ".join(map(hex, JPEG)),
    "binary digits": " ".join(f"{byte:08b}" for byte in JPEG),
    "octal escapes": "".join(f"\\{byte:03o}" for byte in JPEG),
    "entities of HTML": "".join(f"&#{byte};" for byte in JPEG),
    "short lines": pieces(BASE64, 40, "\n"),
    "very short lines": pieces(BASE64, 16, "\n"),
    "texts with a plus": '"' + pieces(BASE64, 50, '" +\n"') + '"',
    "binary of YAML": "pixels: !!binary |\n  " + pieces(RAW, 76, "\n  "),
    "spaces": pieces(RAW, 8, " "),
    "a row of base64 each": json.dumps([base64.b64encode(row.tobytes() * 3).decode() for row in GRAY]),
    "a row of hexadecimal digits each": json.dumps([row.tobytes().hex() for row in GRAY]),
}

WAYS_BACK = {
    "a file's address": '{"a": "file:///home/anna/1.jpg"}',
    "the path of a home": '{"a": "/home/anna/pictures/1.jpg"}',
    "the path of Windows": json.dumps({"imagePath": "C:\\Users\\anna\\1.jpg"}),
    "a share": "\\\\server\\anna\\1.png",
    "the address of a store": '{"a": "abfss://raw@account/1.jpg"}',
    "an archive": '{"a": "https://example.org/raw/train-0.tar"}',
    "a camera's raw file": '{"a": "https://example.org/1.NEF"}',
    "no scheme": '{"a": "//cdn.example.org/1.jpg"}',
    "no scheme, with www": '{"a": "www.example.org/1.jpg"}',
    "a site of pictures": '{"link": "https://drive.google.com/file/d/1abc"}',
    "a perceptual hash": '{"image_phash": "f1e2d3c4b5a69788"}',
    "a place": '{"latitude": 48.13, "longitude": 11.57}',
    "a tag of a store": '{"etag": "9bb58f26192e4ba00f01e2e7b136bbd8"}',
    "XMP": '<rdf:Description exif:GPSLatitude="48,8.2N"/>',
    "an element of XML": "<annotation><url>www.example.org/17</url></annotation>",
    "YAML": "label: 1\nurl: example.org/17\n",
    "CSV": "label,md5\n1," + "0" * 32,
    "CSV with semicolons": "label;gps\n1;48.1 11.6\n",
    "a map of Parquet": '{"meta": [["url", "example.org/17"]]}',
    "a list of tags": '{"tags": [{"tag": "GPSLatitude", "value": "48/1"}]}',
    "an embedding": json.dumps({"clip_embedding": RNG.normal(size=512).tolist()}),
    "a latent": json.dumps({"vae": {"latents": RNG.normal(size=(4, 8, 8)).tolist()}}),
    "an embedding in a text": json.dumps({"features": " ".join(map(str, RNG.normal(size=128)))}),
    "an embedding in base64": json.dumps({"emb": base64.b64encode(RNG.normal(size=64).tobytes()).decode()}),
}

ORDINARY = [
    "a photo of a cat/dog, F/2.8 at 1/200 s",
    "label: 3\nname: cat\nbox: [1, 2, 3, 4]\n",
    "<annotation><filename>1.jpg</filename><size><width>3</width></size><object><name>dog</name></object></annotation>",
    "0 0.5 0.5 0.2 0.3\n" * 40,
    '{"file_name": "train/a.jpg", "clip": "7", "hashtags": ["#a"], "features": {"wing": "red"}, "lateral": true}',
    '{"imagePath": "../files/1.jpg", "license": "https://creativecommons.org/licenses/by/4.0/"}',
    "url: \nmd5: null\n",
    "name,url\ncat,\n",
    json.dumps([f"{number:032x}" for number in range(9)]),
    json.dumps({"feature_counts": [*range(200)]}),
    "The quick brown fox jumps over the lazy dog, while 17 others (of Mr Smith's) look on. " * 40,
]


def refusal(field: str, data: bytes, layout: Layout) -> RefusedInputError:
    with pytest.raises(RefusedInputError) as error:
        image_member(Sample("s1", (Member("png", PNG), Member(field, data))), layout)
    return error.value


@pytest.mark.parametrize("text", [*BYTES.values(), *WAYS_BACK.values()], ids=[*BYTES, *WAYS_BACK])
def test_text_that_spells_the_original_or_leads_to_it_is_refused_kept_or_not(text: str) -> None:
    for layout in (Layout(), Layout(members={"txt": "keep"})):
        assert "under dataset.members" in refusal("txt", text.encode(), layout).message
    assert image_member(
        Sample("s1", (Member("png", PNG), Member("txt", text.encode()))), Layout(members={"txt": "drop"})
    )


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_labels_and_captions_are_published(text: str) -> None:
    assert not list(hidden_originals(text, lambda: (24, 32)))


def test_a_member_that_has_such_a_name_is_refused_until_somebody_declares_it() -> None:
    embedding = json.dumps(RNG.normal(size=512).tolist()).encode()
    for field, data in (("url", b"example.org/17"), ("exif.txt", b"48 N, 11 E"), ("emb.json", embedding)):
        refusal(field, data, Layout())
        found = Sample("s1", (Member("png", PNG), Member(field, data)))
        assert image_member(found, Layout(members={field: "keep"})).data == PNG


def test_columns_are_not_dropped_all_at_once_where_a_task_reads_one() -> None:
    row = Sample("s1", (Member("png", PNG), Member("json", b'{"label": 1, "json": "x"}')), image="png")
    layout = Layout(members={"json": "drop"})
    with pytest.raises(RefusedInputError, match="published images would have no label; write `json.json: drop`"):
        image_member(row, layout, [Task(field="label", classes=2)])
    assert image_member(row, layout).data == PNG


def test_the_line_for_a_column_of_the_name_json_drops_no_other_column() -> None:
    row = Sample("s1", (Member("png", PNG), Member("json", b'{"label": 1, "json": "//x.org/1.jpg"}')), image="png")
    with pytest.raises(RefusedInputError, match="write `json.json: drop`"):
        image_member(row, Layout())
