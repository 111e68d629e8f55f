"""Text that holds the original, or leads to it, is refused, kept or not; ordinary labels and captions are not."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import quopri
import zlib
from urllib.parse import quote

import numpy as np
import pytest
import yaml
from PIL import Image

from schemas.dataset import Layout
from schemas.errors import RefusedInputError
from schemas.tasks import Task
from stages.io.shards.layout import image_member, published_members
from stages.io.shards.originals.hidden import hidden_originals
from stages.io.shards.sample import Member, Sample
from tests.builders import encoded, jpeg, picture, png

ORIGINAL = picture(0, 24, 24)
JPEG, PNG = jpeg(ORIGINAL), png(ORIGINAL)
WEBP = encoded(Image.fromarray(ORIGINAL), "WEBP")
BASE64 = base64.b64encode(JPEG).decode()
RNG = np.random.default_rng(0)
EMBEDDINGS = (128, 256, 512, 768, 1024, 2048, 2304, 3072)

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


H, W = 24, 32


def scene() -> np.ndarray:
    """A smooth picture with some noise, H×W×3, as photographs are."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:H, 0:W]
    waves = [120 + 60 * np.sin(x / 7 + each) + 50 * np.cos(y / 6 + 2 * each) for each in range(3)]
    return np.clip(np.stack(waves, axis=2) + rng.normal(0, 4, (H, W, 3)), 0, 255).astype(np.uint8)


SCENE = scene()
GRAY = SCENE[..., 0]
LARGE = png(SCENE)


def spoken(values: np.ndarray, separator: str = " ") -> str:
    return separator.join(map(str, values.ravel().tolist()))


PIXELS: dict[str, tuple[str, str]] = {
    "FER": ("json", json.dumps({"emotion": 3, "pixels": spoken(GRAY)})),
    "commas": ("json", json.dumps({"pixels": spoken(SCENE, ",")})),
    "csv with its label": ("csv", "label,pixels\n3," + spoken(GRAY, ",")),
    "lines of csv": ("csv", "\n".join(spoken(row, ",") for row in GRAY)),
    "H×W": ("json", json.dumps(GRAY.tolist())),
    "H×W×3": ("json", json.dumps({"a": {"b": SCENE.tolist()}})),
    "flat": ("json", json.dumps({"a": SCENE.ravel().tolist()})),
    "RGBA": ("json", json.dumps({"a": np.dstack([SCENE, GRAY]).ravel().tolist()})),
    "3×H×W in 0..1": ("json", json.dumps({"a": (SCENE.transpose(2, 0, 1) / 255).round(4).tolist()})),
    "standardised": ("json", json.dumps({"a": ((SCENE - SCENE.mean()) / SCENE.std()).round(5).tolist()})),
    "half the size": ("json", json.dumps({"a": (SCENE[::2, ::2] / 255).ravel().tolist()})),
    "twice the size": ("json", json.dumps({"a": np.kron(GRAY, np.ones((2, 2), int)).ravel().tolist()})),
    "a crop": ("json", json.dumps({"a": (GRAY[:19, 3:27] * 1.01).tolist()})),
    "a key for each channel": ("json", json.dumps({c: spoken(SCENE[..., i]) for i, c in enumerate("rgb")})),
    "a key for each row": ("json", json.dumps({str(i): row.tolist() for i, row in enumerate(GRAY)})),
    "a key for each pixel": ("json", json.dumps({f"{i},{j}": int(GRAY[i, j]) for i in range(H) for j in range(W)})),
    "objects": ("json", json.dumps([dict(zip("rgb", map(int, pixel), strict=True)) for pixel in SCENE.reshape(-1, 3)])),
    "list of texts": ("json", json.dumps({"a": [str(value) for value in GRAY.ravel()]})),
    "lists in a text": ("json", json.dumps({"a": str(GRAY.tolist())})),
    "JSON in JSON": ("json", json.dumps({"a": json.dumps({"b": GRAY.tolist()})})),
    "numpy's own text": ("txt", "array(" + np.array2string(GRAY, threshold=10**6, separator=", ") + ", dtype=uint8)"),
    "savetxt": ("txt", "\n".join(" ".join(f"{value:.18e}" for value in row) for row in GRAY)),
    "JSON Lines": ("txt", "\n".join(json.dumps({"row": i, "v": row.tolist()}) for i, row in enumerate(GRAY))),
    "named rows": ("txt", "\n".join(f"row {i}: " + spoken(row) for i, row in enumerate(GRAY))),
    "spaced hexadecimal": ("txt", GRAY.tobytes().hex(" ")),
    "hexadecimal words": ("txt", ", ".join(f"0x{value:02x}" for value in GRAY.ravel())),
    "HTML colours": ("json", json.dumps({"a": ["#" + pixel.tobytes().hex() for pixel in SCENE.reshape(-1, 3)]})),
    "broken JSON": ("json", json.dumps({"pixels": GRAY.tolist()})[:-1] + ",}"),
}

ENCODINGS = {
    "gzip": base64.b64encode(gzip.compress(JPEG)).decode(),
    "zlib": base64.b64encode(zlib.compress(GRAY.tobytes())).decode(),
    "short zlib": base64.b64encode(zlib.compress(bytes(range(60)))).decode(),
    "base32": base64.b32encode(JPEG * 2).decode(),
    "ASCII85": base64.a85encode(JPEG * 2).decode(),
    "ASCII85 in lines": base64.a85encode(JPEG * 2, wrapcol=76).decode(),
    "base85": base64.b85encode(JPEG).decode(),
    "chunks": [BASE64[place : place + 60] for place in range(0, len(BASE64), 60)],
    "uuencode": "\n".join(binascii.b2a_uu(JPEG[place : place + 45]).decode() for place in range(0, len(JPEG), 45)),
    "quoted printable": quopri.encodestring(JPEG * 2).decode(),
    "percent": quote(JPEG * 2),
    "repr": repr(JPEG * 2),
    "letters": JPEG.decode("latin-1"),
}

NUMBERS_OF_LABELS = {
    "landmarks": RNG.uniform(0, 32, 10).tolist(),
    "boxes": RNG.integers(0, 32, (300, 4)).tolist(),
    "boxes that fit": RNG.uniform(0, 32, (H * W // 4, 4)).tolist(),
    **{f"{size} numbers of an embedding": RNG.normal(0, 1, size).round(5).tolist() for size in EMBEDDINGS},
    "features": np.maximum(RNG.normal(0, 1, H * W), 0).tolist(),
    "findings": [0, 1] * 40,
    "one of 750 classes": [0] * 749 + [1],
    "an empty list of scores": [0] * (H * W),
    "a polygon": np.stack([16 + 9 * np.cos(np.linspace(0, 6, 128)), np.linspace(0, 9, 128)], 1).ravel().tolist(),
    "times": list(range(1000, 2024)),
    "a curve": np.sin(np.linspace(0, 9, 1024)).tolist(),
    "a walk": RNG.normal(0, 1, 1024).cumsum().tolist(),
    "a histogram": RNG.integers(0, 99, 256).tolist(),
}


def sample(member: str, data: bytes) -> Sample:
    return Sample("s1", (Member("jpg", JPEG), Member(member, data)))


@pytest.mark.parametrize("text", HIDING.values(), ids=HIDING.keys())
def test_text_that_holds_or_finds_the_original_is_refused_kept_or_not(text: str) -> None:
    found = sample("json", text.encode())
    for layout in (Layout(), Layout(members={"json": "keep"})):
        with pytest.raises(RefusedInputError, match=r"'s1': member 'json' holds .*: drop` under dataset.mem") as error:
            image_member(found, layout)
        assert len(error.value.message) < 500
        with pytest.raises(RefusedInputError):
            published_members(found, layout, b"protected", "png")
    kept = published_members(found, Layout(members={"json.*": "keep"}), b"protected", "png")
    assert kept == [("s1.png", b"protected"), ("s1.json", text.encode())]
    dropped = published_members(found, Layout(members={"json": "drop"}), b"protected", "png")
    assert dropped == [("s1.png", b"protected")]


@pytest.mark.parametrize(("field", "text"), PIXELS.values(), ids=PIXELS.keys())
def test_numbers_that_are_pixels_are_refused_kept_or_not(field: str, text: str) -> None:
    found = Sample("s1", (Member("png", LARGE), Member(field, text.encode())))
    for layout in (Layout(), Layout(members={field: "keep"})):
        with pytest.raises(RefusedInputError, match=rf"member '{field}' holds \d+ numbers that look like pixels"):
            image_member(found, layout)
    assert image_member(found, Layout(members={f"{field}.*": "keep"})).data == LARGE


@pytest.mark.parametrize("value", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_encoded_bytes_of_any_kind_are_refused(value: str | list[str]) -> None:
    found = sample("json", json.dumps({"label": 1, "raw": value}).encode())
    with pytest.raises(RefusedInputError, match=r"under the key 'raw': write `json.raw: drop`"):
        image_member(found, Layout(members={"json": "keep"}))


@pytest.mark.parametrize("values", NUMBERS_OF_LABELS.values(), ids=NUMBERS_OF_LABELS.keys())
def test_numbers_that_are_labels_or_features_are_published(values: list[float]) -> None:
    found = Sample("s1", (Member("png", LARGE), Member("json", json.dumps({"label": 1, "v": values}).encode())))
    assert image_member(found, Layout()).data == LARGE


def test_a_list_of_numbers_that_a_task_reads_is_a_label() -> None:
    found = Sample("s1", (Member("png", LARGE), Member("json", json.dumps({"v": GRAY.ravel().tolist()}).encode())))
    tasks = [Task(kind="multilabel", field="json.v", findings=[f"f{each}" for each in range(GRAY.size)])]
    assert image_member(found, Layout(), tasks).data == LARGE
    with pytest.raises(RefusedInputError):
        image_member(found, Layout())


@pytest.mark.parametrize("text", ORDINARY)
def test_labels_captions_and_checksums_of_other_things_are_published(text: str) -> None:
    assert not list(hidden_originals(text))
    assert image_member(sample("json", text.encode()), Layout()).data == JPEG


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_what_is_kept_is_looked_into_in_other_encodings_too(codec: str) -> None:
    found = sample("json", json.dumps({"imageData": BASE64}).encode(codec))
    with pytest.raises(RefusedInputError, match="`json.imageData: drop`"):
        image_member(found, Layout(members={"json": "keep"}))
    latin = sample("csv", ("größe\n" + BASE64).encode("latin-1"))
    with pytest.raises(RefusedInputError, match="`csv: drop`"):
        image_member(latin, Layout(members={"csv": "keep"}))


def test_the_first_of_two_keys_of_one_name_is_looked_into() -> None:
    with pytest.raises(RefusedInputError, match="'imageData'"):
        image_member(sample("json", f'{{"imageData":"{BASE64}","imageData":null}}'.encode()), Layout())


KEYS = {
    "url": ({"url": "https://example.org/17"}, "json.url"),
    "md5": ({"a": {"MD5": "0" * 32}}, "json.a.MD5"),
    "GPS": ({"meta": [{"exif": {"GPSLatitude": 48.1}}]}, "json.meta.exif"),
    "latitude": ({"gps_lat": 48.1}, "json.gps_lat"),
    "long name": ({"image_source_url": "x"}, "json.image_source_url"),
    "LabelMe": ({"version": "5", "imageData": BASE64}, "json.imageData"),
    "spaces": ({"web url": "x"}, '"json.web url"'),
}


@pytest.mark.parametrize(("value", "line"), KEYS.values(), ids=KEYS.keys())
def test_the_message_names_the_key_and_the_line_which_then_does_what_it_says(value: object, line: str) -> None:
    found = sample("json", json.dumps({"label": 1, "x": value, "more": 2}).encode())
    line = line.replace("json.", "json.x.")
    with pytest.raises(RefusedInputError) as error:
        image_member(found, Layout(members={"json": "keep"}))
    assert f"under the key {line.strip(chr(34)).removeprefix('json.')!r}: write `{line}: drop`" in error.value.message
    assert f"or `{line}: keep` if it is published on purpose" in error.value.message
    name = yaml.safe_load(f"{line}: drop")
    assert image_member(found, Layout(members=dict.fromkeys(name, "keep"))).data == JPEG
    (_, (_, data)) = published_members(found, Layout(members=name), b"protected", "png")
    assert list(json.loads(data)) == ["label", "x", "more"]
    assert image_member(sample("json", data), Layout()).data == JPEG


def test_a_key_that_is_declared_by_name_is_passed_over() -> None:
    """A column of a Parquet file becomes a key of the member `json`."""
    found = sample("json", b'{"label": 1, "url": "https://example.org/17"}')
    assert image_member(found, Layout(members={"url": "keep"})).data == JPEG


def test_an_image_is_kept_on_purpose_and_a_drawing_only_without_another_in_it() -> None:
    keep = Layout(image="jpg", members={"mask.png": "keep", "svg": "keep", "depth.npy": "keep"})
    members = [("mask.png", PNG), ("svg", b"<svg xmlns='x'><rect/></svg>"), ("depth.npy", b"\x93NUMPY\0\1\2\3")]
    assert image_member(Sample("s1", (Member("jpg", JPEG), *(Member(*each) for each in members))), keep).data == JPEG
    with pytest.raises(RefusedInputError, match="member 'svg' holds a data URI"):
        image_member(sample("svg", f'<svg><image href="data:image/png;base64,{BASE64}"/></svg>'.encode()), keep)


@pytest.mark.parametrize("text", ["[" * 900 + "1" + "]" * 900, '{"a":' * 5000 + "1" + "}" * 5000])
def test_json_that_is_nested_too_deeply_to_be_checked_is_refused(text: str) -> None:
    with pytest.raises(RefusedInputError, match="nested too deeply"):
        image_member(sample("json", text.encode()), Layout())
