"""Protect: every kind of image in one shard is published within the bound or quarantined by name, and nothing else."""

import hashlib
import io
import json
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, PngImagePlugin

from pipeline.configuration.plans import protect_plan
from schemas.dataset import Layout
from schemas.errors import GeneratorError, InputError, MtlueError, RefusedInputError, ValidationError
from schemas.plans import IngestPlan
from schemas.records import ShardRecord
from stages.ingest.ingest import profile_shard
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import same_layout
from stages.io.images.pixel_layout import canonical_view
from stages.io.shards.layout import published_layout
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Sample
from stages.io.shards.tar import TarWriter
from stages.io.store.store import Store
from stages.learning.table import open_table
from stages.perturbers.perturber import Perturber
from stages.protect import protect
from stages.protect import sample as sample_maker
from stages.protect.perturb import add_perturbation
from stages.protect.protect import protect_shard
from stages.tasks.kinds import kinds_of
from tests import builders
from tests.builders import BuiltSample, encoded, picture, png

LIMIT = 1_000_000


def labelled(key: str, field: str, image: bytes, **labels: Any) -> BuiltSample:
    return key, [(field, image), ("json", json.dumps(labels or {"a": 1, "b": 0}).encode())]


def private_jpeg() -> bytes:
    """A photo with place, owner, comment, thumbnail and a turned display."""
    exif = Image.Exif()
    exif[274] = 6
    exif[0x9286] = "SECRET-COMMENT"
    exif[0xA430] = "SECRET-OWNER"
    exif[0x8825] = {1: "N", 2: (47.0, 30.0, 12.0), 29: "SECRET-DATE"}
    image = Image.fromarray(picture(3, 24, 32))
    return encoded(image, "JPEG", quality=95, exif=exif, comment=b"SECRET-JPEG", icc_profile=b"SECRET-PROFILE")


def private_png() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "SECRET-AUTHOR")
    info.add_itxt("XML:com.adobe.xmp", "SECRET-XMP")
    return encoded(Image.fromarray(picture(4, 16, 16)), "PNG", pnginfo=info)


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(picture(seed, 12, 12)) for seed in (1, 2)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def deep(seed: int, channels: int) -> np.ndarray:
    return picture(seed, 14, 18, channels).astype(np.uint16) * 251


def good() -> list[BuiltSample]:
    """Samples of every layout that can be protected (16-bit ones apart: WebP has none)."""
    palette = Image.fromarray(picture(5, 20, 20)).quantize(16)
    return [
        labelled("rgb", "jpg", builders.jpeg(picture(0, 40, 30))),
        labelled("gray", "png", png(picture(1, 17, 23, 1))),
        labelled("gray-jpeg", "jpg", builders.jpeg(picture(1, 17, 23, 1))),
        labelled("gray-alpha", "png", png(picture(2, 16, 16, 2))),
        labelled("private", "jpg", private_jpeg()),
        labelled("text", "png", private_png()),
        labelled("rgba", "png", png(picture(6, 9, 31, 4))),
        labelled("palette", "png", encoded(palette, "PNG")),
        labelled("palette-alpha", "png", encoded(palette, "PNG", transparency=3)),
        labelled("cmyk", "jpg", encoded(Image.fromarray(picture(7, 16, 16)).convert("CMYK"), "JPEG")),
        labelled("bits", "png", encoded(Image.fromarray(picture(8, 16, 16)).convert("1"), "PNG")),
        labelled("webp", "webp", encoded(Image.fromarray(picture(9, 16, 24)), "WEBP", lossless=True)),
        labelled("wide", "png", png(picture(10, 2, 300))),
        labelled("no-label", "png", png(picture(11, 16, 16)), a=None),
        labelled("dir/sub/nested", "png", png(picture(12, 16, 16))),
    ]


def sixteen_bits() -> list[BuiltSample]:
    return [
        labelled("gray16", "png", png(deep(20, 1))),
        labelled("rgb16", "png", png(deep(21, 3))),
        labelled("rgba16", "png", png(deep(22, 4))),
    ]


def bad() -> list[tuple[BuiltSample, str]]:
    """Samples that must be left out, and why."""
    photo = builders.jpeg(picture(0, 40, 30))
    return [
        (labelled("gif", "png", animated("GIF")), "animated-image"),
        (labelled("apng", "png", animated("PNG")), "animated-image"),
        (labelled("moving-webp", "webp", animated("WEBP")), "animated-image"),
        (labelled("words", "jpg", b"<html>404</html>"), "corrupt-image"),
        (labelled("empty", "jpg", b""), "empty-image"),
        (labelled("cut", "jpg", photo[: len(photo) // 2]), "truncated-image"),
        (("imageless", [("json", b'{"a": 1}')]), "no-image"),
        (labelled("label", "jpg", photo, a=3), "label-out-of-range"),
        (("json", [("jpg", photo), ("json", b'{"a": 1')]), "label-unreadable"),
        (("twice", [*labelled("twice", "jpg", photo)[1]] * 2), "duplicate-key"),
        (labelled("bomb", "png", encoded(Image.new("1", (2000, 2000)), "PNG")), "decompression-bomb"),
    ]


def mixed() -> list[BuiltSample]:
    """Good and bad samples in turns."""
    rest, samples = [sample for sample, _ in bad()], []
    for sample in [*good(), *sixteen_bits()]:
        samples.append(sample)
        if rest:
            samples.append(rest.pop(0))
    return samples + rest


class Place:
    """A shard in a raw place, and an empty public place."""

    def __init__(self, root: Path, samples: list[BuiltSample], **overrides: Any) -> None:
        self.path = builders.write_shard(root / "raw" / "train-0.tar", samples)
        self.config = builders.config(
            root, **{**overrides, "dataset": {"max_pixels": LIMIT, **overrides.get("dataset", {})}}
        )
        self.plan = protect_plan(self.config)
        self.output = Store(str(root / "public"))

    def protect(self, perturber: Perturber | None = None) -> ShardRecord:
        source, ref = builders.shard_ref(self.path)
        return protect_shard(source, ref, self.output, self.plan, perturber or builders.perturber(), "identity")

    @property
    def published_layout(self) -> Layout:
        return published_layout(self.plan.layout, self.plan.encoding)

    def published(self, name: str = "train-0.tar") -> list[Sample]:
        """The published samples, in their order; none of them is bad."""
        path = Path(self.output.join(name))
        found = list(read_samples(path, name, self.published_layout))
        assert all(isinstance(sample, Sample) for sample in found)
        return [sample for sample in found if isinstance(sample, Sample)]


def originals(samples: list[BuiltSample]) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for key, members in samples:
        found.setdefault(key, dict(members))  # the first of two equal keys counts
    return found


def change_of(clean: bytes, protected: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The decoded input, and what was added to it."""
    before = decode_image(clean, max_pixels=LIMIT).pixels
    after = same_layout(decode_image(protected, max_pixels=LIMIT).pixels, before.shape[2])
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    return before, after.astype(int) - before


def no_thread_is_left() -> bool:
    end = time.monotonic() + 10
    while (left := [thread for thread in threading.enumerate() if thread.name == "mtlue-ahead"]) and (
        time.monotonic() < end
    ):
        time.sleep(0.02)
    return not left


# --- one shard with everything in it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_good_samples_are_protected_and_bad_ones_quarantined_with_their_reasons(encoding: str, tmp_path: Path) -> None:
    samples = mixed()
    place = Place(tmp_path, samples, protect={"encoding": encoding})
    record = place.protect()
    expected_bad = {(sample[0], reason) for sample, reason in bad()}
    protectable = [sample[0] for sample in good()]
    if encoding == "webp":
        expected_bad |= {(sample[0], "unsupported-mode") for sample in sixteen_bits()}
    else:
        protectable += [sample[0] for sample in sixteen_bits()]
    assert {(found.key, found.reason) for found in record.quarantined} == expected_bad
    assert all(found.shard == "train-0.tar" and repr(found.key) in found.message for found in record.quarantined)
    published = place.published()
    assert [sample.key for sample in published] == protectable
    assert record.samples == len(protectable)
    assert record.samples + len(record.quarantined) == len(samples)
    clean = originals(samples)
    for sample in published:
        assert [member.field for member in sample.members] == [encoding, "json"]
        image, label = (member.data for member in sample.members)
        assert label == clean[sample.key]["json"]
        before, change = change_of(next(iter(clean[sample.key].values())), image)
        colours = before.shape[2] - (before.shape[2] in (2, 4))
        assert not change[..., colours:].any(), sample.key
        assert 0 < np.abs(change).max() <= (8 if before.dtype == np.uint8 else 8 * 257), sample.key


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_nothing_but_pixels_of_an_image_is_published(encoding: str, tmp_path: Path) -> None:
    samples = good()
    place = Place(tmp_path, samples, protect={"encoding": encoding})
    assert b"SECRET" in place.path.read_bytes()
    place.protect()
    shard = Path(place.output.join("train-0.tar")).read_bytes()
    for secret in (b"SECRET", b"Exif", b"eXIf", b"ICCP", b"iCCP", b"tEXt", b"iTXt", b"XMP ", b"photoshop"):
        assert secret not in shard, secret
    for sample in place.published():
        image = Image.open(io.BytesIO(sample.members[0].data))
        assert not image.getexif()
        assert set(image.info) <= {"loop", "background", "timestamp", "duration"}, sample.key
    for members in originals(samples).values():
        assert next(iter(members.values())) not in shard


def test_a_turned_photo_is_protected_as_stored_and_keeps_its_sides(tmp_path: Path) -> None:
    place = Place(tmp_path, [labelled("private", "jpg", private_jpeg())])
    place.protect()
    (sample,) = place.published()
    assert decode_image(sample.members[0].data, max_pixels=LIMIT).pixels.shape == (24, 32, 3)


def test_gray_images_stay_gray_and_get_one_delta(tmp_path: Path) -> None:
    place = Place(tmp_path, [labelled("k", "jpg", builders.jpeg(picture(1, 17, 23, 1)))])
    place.protect()
    (sample,) = place.published()
    assert Image.open(io.BytesIO(sample.members[0].data)).mode == "L"


def test_the_record_says_what_was_published(tmp_path: Path) -> None:
    samples = mixed()
    place = Place(tmp_path, samples)
    record = place.protect()
    shard = Path(place.output.join("train-0.tar")).read_bytes()
    assert (record.identity, record.name) == ("identity", "train-0.tar")
    assert record.bytes == len(shard)
    assert record.sha256 == hashlib.sha256(shard).hexdigest()
    assert record.source_sha256 == hashlib.sha256(place.path.read_bytes()).hexdigest()
    assert record.labelled == {"a": record.samples - 1, "b": record.samples - 1}
    clean = originals(samples)
    changes = [
        change_of(next(iter(clean[sample.key].values())), sample.members[0].data) for sample in place.published()
    ]
    levels = [
        np.abs(change[..., : before.shape[2] - (before.shape[2] in (2, 4))]).astype(float)
        / (1 if before.dtype == np.uint8 else 257)
        for before, change in changes
    ]
    assert record.max_delta == 8 == np.ceil(max(level.max() for level in levels))
    assert record.delta.count == record.psnr.count == record.samples
    assert record.delta.mean == pytest.approx(np.mean([level.mean() for level in levels]))
    assert record.psnr.mean == pytest.approx(np.mean([10 * np.log10(255**2 / (level**2).mean()) for level in levels]))


def test_a_configured_epsilon_is_the_bound_of_the_published_bytes(tmp_path: Path) -> None:
    for level in (1, 3, 16):
        place = Place(tmp_path / str(level), good()[:4], protection={"epsilon": f"{level}/255"})
        generator = builders.generator(epsilon=level / 255)
        generator.decoder[-1].weight.mul_(10)  # as far as training drives δ
        assert place.protect(builders.perturber(generator)).max_delta == level


def test_a_generator_of_a_larger_epsilon_than_configured_publishes_nothing_beyond_the_bound(tmp_path: Path) -> None:
    place = Place(tmp_path, good()[:4])
    record = place.protect(builders.perturber(epsilon=16 / 255))
    assert record.samples == 0
    assert {found.reason for found in record.quarantined} == {"out-of-bound"}
    assert place.published() == []


class HalfEpsilon:
    """A perturber of +ε/2 everywhere but in two opposite corners, which cancel each other when δ is made smaller."""

    resolution, epsilon, fingerprint, sees_images = 16, 8 / 255, "half", True

    def delta(
        self, views_BCRR: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor, keys: Sequence[str]
    ) -> torch.Tensor:
        delta_BCRR = torch.full_like(views_BCRR, self.epsilon / 2)
        delta_BCRR[:, :, 0, 0] += self.epsilon / 64
        delta_BCRR[:, :, -1, -1] -= self.epsilon / 64
        return delta_BCRR


# --- small images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1, 1), (1, 1, 4), (1, 7, 3), (2, 1, 2)])
def test_an_image_of_a_pixel_or_a_line_is_protected(shape: tuple[int, int, int], tmp_path: Path) -> None:
    place = Place(tmp_path, [labelled("dot", "png", png(np.full(shape, 100, np.uint8)))])
    assert place.protect(HalfEpsilon()).samples == 1
    (sample,) = place.published()
    pixels = decode_image(sample.members[0].data, max_pixels=LIMIT).pixels
    colours = shape[2] - (shape[2] in (2, 4))
    assert set(pixels[..., :colours].flatten().tolist()) == {104}
    assert set(pixels[..., colours:].flatten().tolist()) <= {100}


def test_an_image_that_cannot_be_changed_is_quarantined_as_unchanged(tmp_path: Path) -> None:
    white = png(np.full((1, 1, 3), 255, np.uint8))
    samples = [labelled("white", "png", white), labelled("gray", "png", png(np.full((1, 1, 3), 100, np.uint8)))]
    place = Place(tmp_path, samples)
    record = place.protect(HalfEpsilon())
    (found,) = record.quarantined
    assert (found.key, found.reason) == ("white", "unchanged")
    assert "'white'" in found.message
    assert [sample.key for sample in place.published()] == ["gray"]


# --- members, order and bytes -----------------------------------------------------------------------------------------


def test_other_members_stay_byte_for_byte_and_dropped_ones_leave(tmp_path: Path) -> None:
    mask = png(picture(0, 8, 8, 1))
    members = [
        ("cls", b" 1\n"),
        ("seg.png", mask),
        ("left.jpg", builders.jpeg(picture(1, 20, 20))),
        ("json", b'{ "a" : 2,   "b":1 }\r\n'),
        ("npy", b"\x93NUMPY\0\1"),
        ("txt", "Grüße\n".encode()),
        ("orig", builders.jpeg(picture(1, 20, 20))),
    ]
    place = Place(
        tmp_path,
        [("k", members)],
        dataset={"image": "left.jpg", "members": {"seg.png": "keep", "npy": "keep", "orig": "drop"}},
    )
    place.protect()
    (sample,) = place.published()
    assert [member.field for member in sample.members] == ["cls", "seg.png", "left.png", "json", "npy", "txt"]
    for member in sample.members:
        if member.field != "left.png":
            assert member.data == dict(members)[member.field]


def test_many_samples_keep_their_order_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = builders.labelled_samples(150)
    place = Place(tmp_path / "a", samples)
    assert place.protect().samples == 150
    assert [sample.key for sample in place.published()] == [key for key, _ in samples]
    monkeypatch.setattr(protect, "BATCH_PIXELS", 16 * 16 * 3)
    few = Place(tmp_path / "b", samples)
    few.protect()
    assert [sample.key for sample in few.published()] == [key for key, _ in samples]


def test_each_sample_gets_the_delta_of_its_own_labels_and_image(tmp_path: Path) -> None:
    image = png(picture(0, 16, 16))
    labels = [{"a": a, "b": b} for a in range(3) for b in range(2)]
    samples = [labelled(f"k{number}", "png", image, **values) for number, values in enumerate(labels)]
    place = Place(tmp_path / "a", samples)
    place.protect()
    changes = {sample.key: change_of(image, sample.members[0].data)[1] for sample in place.published()}
    for one, other in combinations(changes.values(), 2):
        assert np.abs(one - other).max() > 1
    # The same samples in another order and other company: δ goes by the sample, not by its position.
    turned = Place(tmp_path / "b", [*good()[:3], *samples[::-1]])
    turned.protect()
    for sample in turned.published()[3:]:
        assert np.abs(change_of(image, sample.members[0].data)[1] - changes[sample.key]).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_published_pixels_are_image_plus_delta_with_the_kind_that_training_knew(
    channels: int, tmp_path: Path
) -> None:
    pixels = picture(0, 16, 16, channels)
    place, generator = Place(tmp_path, [labelled("k", "png", png(pixels), a=2, b=1)]), builders.generator()
    place.protect(builders.perturber(generator))
    x = torch.from_numpy(canonical_view(pixels, 16)).permute(2, 0, 1)[None] / 255
    delta = generator(x, builders.columns([[2, 1]]), torch.tensor([channels <= 2]))[0]
    published = decode_image(place.published()[0].members[0].data, max_pixels=LIMIT).pixels
    difference = published.astype(int) - add_perturbation(pixels, delta, 8 / 255)
    assert np.abs(difference).max() <= 1  # a value beside a half may fall to either side
    assert (difference == 0).mean() > 0.99


def test_two_runs_publish_the_same_bytes_from_different_places(tmp_path: Path) -> None:
    one, again = Place(tmp_path / "a", mixed()), Place(tmp_path / "b" / "c", mixed())
    assert one.protect().sha256 == again.protect().sha256
    first, second = (Path(place.output.join("train-0.tar")).read_bytes() for place in (one, again))
    assert first == second
    one.protect()
    assert Path(one.output.join("train-0.tar")).read_bytes() == first


def test_an_unprotected_tasks_label_decides_nothing_about_the_pixels(tmp_path: Path) -> None:
    perturber = builders.perturber(protected=(True, False))
    pixels = []
    for label in (0, 1, None):
        sample = labelled("k", "png", png(picture(0, 16, 16)), a=2, b=label)
        place = Place(tmp_path / str(label), [sample], protection={"tasks": ["a"]})
        place.protect(perturber)
        pixels.append(place.published()[0].members[0].data)
    assert pixels[0] == pixels[1] == pixels[2]


# --- Parquet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_parquet_becomes_a_tar_with_one_sample_a_row(encoding: str, tmp_path: Path) -> None:
    images = [png(picture(0, 20, 30)), builders.jpeg(picture(1, 16, 16)), b"broken \0", None, private_jpeg()]
    columns = {
        "image": pa.array(
            [image and {"bytes": image, "path": "SECRET/path.jpg"} for image in images],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        ),
        "a": pa.array([0, 1, 2, 0, None]),
        "labels": pa.array([{"b": 1}] * 5),
        "caption": pa.array([f"caption {number}" for number in range(5)]),
        "secret": pa.array(["SECRET"] * 5),
    }
    path = tmp_path / "raw" / "part.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table(columns), path)
    config = builders.config(
        tmp_path,
        dataset={"image": "image", "members": {"secret": "drop"}},
        tasks=[{"field": "a", "classes": 3}, {"field": "labels.b", "classes": 2}],
        protect={"encoding": encoding},
    )
    source, ref = builders.shard_ref(path)
    output = Store(str(tmp_path / "public"))
    record = protect_shard(source, ref, output, protect_plan(config), builders.perturber(), "identity")
    assert record.name == "part.tar"
    assert record.samples == 3
    assert record.labelled == {"a": 2, "b": 3}
    assert {(found.key, found.reason) for found in record.quarantined} == {
        ("part-00000002", "corrupt-image"),
        ("part-00000003", "no-image"),
    }
    shard = tmp_path / "public" / "part.tar"
    assert b"SECRET" not in shard.read_bytes()
    found = [sample for sample in read_samples(shard, "part.tar", Layout()) if isinstance(sample, Sample)]
    assert [sample.key for sample in found] == ["part-00000000", "part-00000001", "part-00000004"]
    for sample, row in zip(found, (0, 1, 4), strict=True):
        image, values = (member.data for member in sample.members)
        assert [member.field for member in sample.members] == [encoding, "json"]
        assert json.loads(values) == {
            "a": [0, 1, 2, 0, None][row],
            "labels": {"b": 1},
            "caption": f"caption {row}",
        }
        original = images[row]
        assert original is not None
        assert 0 < np.abs(change_of(original, image)[1]).max() <= 8


# --- what publishes nothing -------------------------------------------------------------------------------------------


def published_nothing(place: Place, error: type[MtlueError], message: str, perturber: Perturber | None = None) -> None:
    with pytest.raises(error, match=message):
        place.protect(perturber)
    assert place.output.list() == []
    assert no_thread_is_left()


@pytest.mark.parametrize("position", [0, 40, 199])
def test_an_undeclared_second_image_refuses_the_whole_shard(position: int, tmp_path: Path) -> None:
    samples = builders.labelled_samples(200)
    key, members = samples[position]
    samples[position] = (key, [*members, ("orig", png(picture(0, 16, 16)))])
    message = rf"shard train-0\.tar: sample '{key}': member 'orig' is an image that nobody declared"
    published_nothing(Place(tmp_path, samples), RefusedInputError, message)


def test_a_renamed_image_that_meets_another_member_refuses_the_shard(tmp_path: Path) -> None:
    samples = builders.labelled_samples(200)
    key, members = samples[3]
    samples[3] = (key, [*members, ("png", png(picture(0, 16, 16)))])
    place = Place(tmp_path, samples, dataset={"image": "jpg", "members": {"png": "keep"}})
    published_nothing(place, RefusedInputError, rf"shard train-0\.tar: sample '{key}'.*published as 'png'")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_damaged_shard_publishes_nothing(share: float, tmp_path: Path) -> None:
    place = Place(tmp_path, builders.labelled_samples(150))
    data = place.path.read_bytes().rstrip(b"\0")
    place.path.write_bytes(data[: int(share * len(data))])
    published_nothing(place, InputError, r"shard train-0\.tar: damaged")


def test_a_damaged_shard_leaves_what_was_published_before(tmp_path: Path) -> None:
    place = Place(tmp_path, builders.labelled_samples(10))
    place.protect()
    before = Path(place.output.join("train-0.tar")).read_bytes()
    place.path.write_bytes(place.path.read_bytes()[:5000])
    with pytest.raises(InputError):
        place.protect()
    assert Path(place.output.join("train-0.tar")).read_bytes() == before


@pytest.mark.parametrize("number", range(len(bad())))
def test_on_error_fail_publishes_nothing_and_names_shard_sample_and_setting(number: int, tmp_path: Path) -> None:
    sample, _ = bad()[number]
    place = Place(tmp_path, [*good()[:3], sample], protect={"on_error": "fail"})
    message = rf"(?s)shard train-0\.tar: .*'{sample[0]}'.*protect\.on_error"
    published_nothing(place, InputError, message)


def test_on_error_fail_covers_what_only_encoding_finds_out(tmp_path: Path) -> None:
    place = Place(tmp_path, sixteen_bits(), protect={"on_error": "fail", "encoding": "webp"})
    published_nothing(place, InputError, r"shard train-0\.tar: sample 'gray16': WebP has no 16-bit.*protect\.on_error")


class BrokenAt:
    """The δ of another perturber, but for one sample, whose δ is this number everywhere."""

    def __init__(self, key: str, value: float) -> None:
        self.key, self.value, self.inner = key, value, builders.perturber()
        self.resolution, self.epsilon, self.fingerprint = self.inner.resolution, self.inner.epsilon, "broken"
        self.sees_images = True

    def delta(
        self, views_BCRR: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor, keys: Sequence[str]
    ) -> torch.Tensor:
        delta_BCRR = self.inner.delta(views_BCRR, labels, gray_B, keys).clone()
        for number, key in enumerate(keys):
            if key == self.key:
                delta_BCRR[number] = self.value
        return delta_BCRR


@pytest.mark.parametrize("on_error", ["quarantine", "fail"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 4 / 255])
@pytest.mark.parametrize("key", ["s00000", "s00099", "s00149"])
def test_one_delta_that_is_none_publishes_nothing_and_is_no_fault_of_the_sample(
    key: str, value: float, on_error: str, tmp_path: Path
) -> None:
    place = Place(tmp_path, builders.labelled_samples(150), protect={"on_error": on_error})
    message = rf"δ of sample '{key}' is (not finite|{value * 255:.3g}/255 in every pixel)"
    published_nothing(place, GeneratorError, message, BrokenAt(key, value))
    assert place.protect().samples == 150  # the same shard with a perturber that is one


# The disk's, memory's or a codec's fault, which no input produces: the final bytes are checked all the same.


def damaged_writes(monkeypatch: pytest.MonkeyPatch, damage: Callable[[str, bytes], bytes | None]) -> None:
    add = TarWriter.add

    def damaging(self: TarWriter, member_name: str, data: bytes) -> None:
        damaged = damage(member_name, data)
        if damaged is not None:
            add(self, member_name, damaged)

    monkeypatch.setattr(TarWriter, "add", damaging)


def test_a_label_that_changes_on_its_way_to_the_disk_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, builders.labelled_samples(5))
    damaged_writes(monkeypatch, lambda name, data: data[:-1] + b" " if name == "s00003.json" else data)
    published_nothing(place, ValidationError, r"shard train-0\.tar: sample 's00003': member 'json' changed on its way")


def test_a_sample_that_is_lost_on_its_way_to_the_disk_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, builders.labelled_samples(5))
    damaged_writes(monkeypatch, lambda name, data: None if name.startswith("s00003.") else data)
    published_nothing(place, ValidationError, r"sample 's00004': member 'png' is not the one that was written")


def test_an_encoder_that_loses_something_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_maker, "encode_image", lambda pixels, encoding: png(np.roll(pixels, 1, axis=0)))
    place = Place(tmp_path, builders.labelled_samples(5))
    published_nothing(place, ValidationError, r"shard train-0\.tar: sample 's00000': the encoded image .* other pixels")


# --- the published shard as others see it -----------------------------------------------------------------------------


def test_the_audits_table_of_the_published_shard_holds_the_same_samples_as_the_clean_one(tmp_path: Path) -> None:
    samples: list[BuiltSample] = [
        (f"k{number}", [("jpg", builders.jpeg(picture(number, 16, 16))), ("cls", str(number).encode())])
        for number in range(30)
    ]
    place = Place(tmp_path, samples, tasks=[{"field": "cls", "classes": 30}])
    place.protect(builders.perturber(class_counts=[30], protected=[True]))
    labels = []
    for path, layout in (
        (place.path, place.plan.layout),
        (Path(place.output.join("train-0.tar")), place.published_layout),
    ):
        plan = IngestPlan(layout=layout, tasks=place.plan.tasks, resolution=16)
        assert profile_shard(path, "train-0.tar", tmp_path / "t", plan, 9).cached == 9
        labels.append(open_table([tmp_path / "t"], kinds_of(plan.tasks)).labels[0].tolist())
    assert labels[0] == labels[1]


def test_other_decoders_see_the_same_pixels(tmp_path: Path) -> None:
    place = Place(tmp_path, [*good()[:4], *sixteen_bits()])
    place.protect()
    for sample in place.published():
        data = sample.members[0].data
        ours = decode_image(data, max_pixels=LIMIT).pixels
        if ours.shape[2] == 2:
            theirs = np.array(Image.open(io.BytesIO(data)))
        else:
            theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            theirs = theirs.reshape(*ours.shape[:2], -1)
            if ours.shape[2] >= 3:
                theirs = np.concatenate([theirs[..., 2::-1], theirs[..., 3:]], axis=2)
        np.testing.assert_array_equal(ours, theirs)


def test_webdataset_reads_the_published_shard(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import webdataset as wds

        samples = mixed()
        place = Place(tmp_path, samples)
        record = place.protect()
        found = list(wds.WebDataset(place.output.join("train-0.tar"), shardshuffle=False, empty_check=False))
    assert len(found) == record.samples
    clean = originals(samples)
    assert all(json.loads(sample["json"]) == json.loads(clean[sample["__key__"]]["json"]) for sample in found)
