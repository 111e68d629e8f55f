"""Ingest: the profile counts what is in a shard, and every version of a table holds the same samples."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.dataset import Layout
from schemas.errors import InputError, RefusedInputError
from schemas.plans import IngestPlan, Noise
from schemas.records import ShardProfile
from schemas.tasks import MISSING, Task
from stages.ingest.ingest import ingest_shard, profile_shard
from stages.io.images.decoding import decode_image
from stages.io.images.pixel_layout import canonical_view
from stages.io.store.store import Store
from stages.learning.table import ImageTable, open_table
from stages.tasks.kinds import kinds_of
from stages.transforms.pixels import UniformNoise
from tests import builders
from tests.builders import BuiltSample

TASKS = [Task(field="json.a", classes=3), Task(field="json.b", classes=["no", "yes"])]
NUMBERED = [Task(field="cls", classes=1000)]


def plan(**values: Any) -> IngestPlan:
    defaults: dict[str, Any] = {
        "layout": Layout(),
        "tasks": TASKS,
        "resolution": 16,
    }
    return IngestPlan.model_validate({**defaults, **values})


def sample(key: str, image: bytes | None = None, field: str = "png", **labels: Any) -> BuiltSample:
    image = builders.png(builders.picture(0, 16, 16)) if image is None else image
    return key, [(field, image), ("json", json.dumps(labels).encode())]


def numbered(count: int, *, reverse: bool = False) -> list[BuiltSample]:
    """Samples whose label is their number, so that a table's labels say which samples it holds."""
    samples: list[BuiltSample] = [
        (f"k{number}", [("png", builders.png(builders.picture(number, 16, 16))), ("cls", str(number).encode())])
        for number in range(count)
    ]
    return samples[::-1] if reverse else samples


def profiled(
    tmp_path: Path, samples: list[BuiltSample], name: str = "s.tar", limit: int = 1000, **values: Any
) -> ShardProfile:
    path = builders.write_shard(tmp_path / name, samples)
    return profile_shard(path, name, tmp_path / f"{name}.arrow", plan(**values), limit)


def opened(path: Path, **values: Any) -> ImageTable:
    return open_table([path], kinds_of(plan(**values).tasks))


def table_of(
    tmp_path: Path, samples: list[BuiltSample], name: str = "s.tar", limit: int = 1000, **values: Any
) -> ImageTable:
    profiled(tmp_path, samples, name, limit, **values)
    return opened(tmp_path / f"{name}.arrow", **values)


def noise(seed: int = 0) -> dict[str, Any]:
    """The control version: noise of 8/255 on every image."""
    return {"transforms": [Noise(epsilon=8 / 255, seed=seed)]}


def by_label(table: ImageTable) -> dict[int, np.ndarray]:
    images = table.images(np.arange(len(table)))
    return dict(zip(table.labels[0].tolist(), images, strict=True))


# --- the profile ------------------------------------------------------------------------------------------------------


def test_labels_are_counted_by_class_and_missing_ones_apart(tmp_path: Path) -> None:
    samples = [
        sample("s0", a=0, b="yes"),
        sample("s1", a=2, b="no"),
        sample("s2", a=2, b=None),
        sample("s3", a=2),
        sample("s4", b="yes"),
    ]
    profile = profiled(tmp_path, samples)
    assert profile.samples == profile.cached == 5
    assert profile.histograms == {"a": [1, 0, 3], "b": [1, 2]}
    assert profile.missing == {"a": 1, "b": 2}
    table = opened(tmp_path / "s.tar.arrow")
    assert [label.tolist() for label in table.labels] == [[0, 2, 2, 2, MISSING], [1, 0, MISSING, MISSING, 1]]


def test_layouts_sizes_and_turned_images_are_counted(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[274] = 6
    samples = [
        sample("s0", builders.png(builders.picture(0, 20, 30))),
        sample("s1", builders.png(builders.picture(1, 10, 50, 1))),
        sample("s2", builders.png(builders.picture(2, 16, 16, 4))),
        sample("s3", builders.png(builders.picture(3, 16, 16, 1).astype(np.uint16) * 257)),
        sample("s4", builders.encoded(Image.new("RGB", (16, 16)), "JPEG", exif=turned), field="jpg"),
    ]
    profile = profiled(tmp_path, samples)
    assert profile.modes == {"I;16": 1, "L": 1, "RGB": 2, "RGBA": 1}
    assert profile.rotated == 1
    assert (profile.height.minimum, profile.height.maximum, profile.height.count) == (10, 20, 5)
    assert profile.height.mean == pytest.approx((20 + 10 + 16 + 16 + 16) / 5)
    assert (profile.width.minimum, profile.width.maximum) == (16, 50)
    assert opened(tmp_path / "s.tar.arrow").gray_N.tolist() == [False, True, False, True, False]


def test_the_shard_is_named_by_its_bytes(tmp_path: Path) -> None:
    profile = profiled(tmp_path, [sample("s0")])
    data = (tmp_path / "s.tar").read_bytes()
    assert profile.name == "s.tar"
    assert profile.bytes == len(data)
    assert profile.sha256 == hashlib.sha256(data).hexdigest()


def test_bad_samples_are_quarantined_with_their_reason_and_counted_nowhere_else(tmp_path: Path) -> None:
    samples = [
        sample("good", a=1, b="no"),
        sample("label", a=3, b="no"),
        sample("word", a=1, b="perhaps"),
        sample("noise", b"no image at all", a=1, b="no"),
        ("alone", [("json", b'{"a": 1}')]),
        ("twice", sample("twice", a=0, b="yes")[1] * 2),
        sample("late", a=0, b="yes"),
        sample("last", a=2, b="yes"),
        ("late", [("txt", b"more of it")]),
    ]
    profile = profiled(tmp_path, samples)
    assert [(found.key, found.reason) for found in profile.quarantined] == [
        ("label", "label-out-of-range"),
        ("word", "label-unreadable"),
        ("noise", "corrupt-image"),
        ("alone", "no-image"),
        ("twice", "duplicate-key"),
        ("late", "unsorted-key"),
    ]
    assert all(found.shard == "s.tar" and repr(found.key) in found.message for found in profile.quarantined)
    assert profile.samples == profile.cached == 2
    assert profile.histograms == {"a": [0, 1, 1], "b": [1, 1]}


def test_members_without_a_key_are_counted_and_take_no_label_from_an_image(tmp_path: Path) -> None:
    whole, stray = sample("s0", a=1, b="no"), ("._s0", [("png", b"AppleDouble")])
    profile = profiled(tmp_path, [("s0", whole[1][:1]), stray, ("s0", whole[1][1:]), stray, sample("s1", a=2, b="no")])
    assert (profile.samples, profile.quarantined, profile.missing) == (2, [], {"a": 0, "b": 0})
    assert (profile.strays, profile.first_stray) == (2, "._s0.png")


def test_the_fields_that_a_task_could_name_are_collected_from_samples_without_label_too(tmp_path: Path) -> None:
    samples = [
        sample("s0", shape={"kind": 1}),
        ("s1", [("png", builders.png(builders.picture(0, 4, 4))), ("cls", b"3"), ("txt", b"words")]),
        sample("s2", b"\xff\xd8 broken", colour=1),
    ]
    assert set(profiled(tmp_path, samples).fields) == {"json.shape.kind", "cls", "txt", "json.colour"}


def test_a_shard_without_samples_has_an_empty_profile_and_no_table(tmp_path: Path) -> None:
    source, ref = builders.shard_ref(builders.write_shard(tmp_path / "raw" / "e.tar", []))
    work = Store(str(tmp_path / "work"))
    profile = ingest_shard(source, ref, work, "tables/e.arrow", plan(), 1000)
    assert (profile.samples, profile.cached, profile.cache) == (0, 0, "")
    assert work.list() == []


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_holds_what_the_generator_will_see(tmp_path: Path) -> None:
    images = [builders.picture(0, 30, 20), builders.picture(1, 9, 40, 4), builders.picture(2, 16, 16, 1)]
    table = table_of(tmp_path, [sample(f"s{n}", builders.png(image)) for n, image in enumerate(images)])
    for row, image in zip(table.images(np.arange(3)), images, strict=True):
        np.testing.assert_array_equal(row, canonical_view(image, 16))


def test_a_table_is_put_into_the_private_place_under_the_given_name(tmp_path: Path) -> None:
    source, ref = builders.shard_ref(builders.write_shard(tmp_path / "raw" / "s.tar", numbered(3)))
    work = Store(str(tmp_path / "work"))
    profile = ingest_shard(source, ref, work, "tables/s.arrow", plan(tasks=NUMBERED), 1000)
    assert profile.cache == "tables/s.arrow"
    assert [entry.name for entry in work.list()] == ["tables/s.arrow"]
    assert by_label(opened(tmp_path / "work" / "tables" / "s.arrow", tasks=NUMBERED)).keys() == {0, 1, 2}


def test_a_damaged_shard_leaves_no_table(tmp_path: Path) -> None:
    path = builders.write_shard(tmp_path / "raw" / "s.tar", numbered(5))
    path.write_bytes(path.read_bytes()[:4000])
    source, ref = builders.shard_ref(path)
    work = Store(str(tmp_path / "work"))
    with pytest.raises(InputError, match=r"shard s\.tar: damaged"):
        ingest_shard(source, ref, work, "tables/s.arrow", plan(tasks=NUMBERED), 1000)
    assert work.list() == []


def test_an_undeclared_original_ends_ingest_and_names_the_shard(tmp_path: Path) -> None:
    image = builders.png(builders.picture(0, 16, 16))
    with pytest.raises(RefusedInputError, match=r"shard s\.tar: sample 'k'.*'orig'.*dataset\.members"):
        profiled(tmp_path, [("k", [("jpg", builders.jpeg(builders.picture(0, 16, 16))), ("orig", image)])])


def test_parquet_rows_are_profiled_like_samples(tmp_path: Path) -> None:
    images = [builders.png(builders.picture(number, 16, 16)) for number in range(3)]
    columns = {"image": pa.array(images, pa.binary()), "a": [0, 2, None], "b": ["yes", "no", "no"]}
    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    tasks = [Task(field="a", classes=3), Task(field="b", classes=["no", "yes"])]
    found = profile_shard(
        tmp_path / "s.parquet",
        "s.parquet",
        tmp_path / "t",
        plan(tasks=tasks, layout=Layout(image="image")),
        1000,
    )
    assert found.histograms == {"a": [1, 0, 1], "b": [2, 1]}
    assert found.missing == {"a": 1, "b": 0}
    assert len(opened(tmp_path / "t", tasks=tasks)) == 3


# --- sampling and noise -----------------------------------------------------------------------------------------------


def test_sampling_keeps_the_same_samples_in_every_version_and_order(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"tasks": NUMBERED, "limit": 7}
    clean = by_label(table_of(tmp_path, numbered(40), "a.tar", **limits))
    noisy = by_label(table_of(tmp_path, numbered(40), "b.tar", **noise(), **limits))
    turned = by_label(table_of(tmp_path, numbered(40, reverse=True), "c.tar", **limits))
    assert len(clean) == 7
    assert clean.keys() == noisy.keys() == turned.keys()
    assert sorted(clean) != list(range(7)), "by hash, not the first ones"


def test_a_profile_says_for_which_samples_its_table_is_enough(tmp_path: Path) -> None:
    cut = profiled(tmp_path, numbered(40), tasks=NUMBERED, limit=7)
    assert cut.keeps(7)
    assert not cut.keeps(8)
    assert profiled(tmp_path, numbered(7), tasks=NUMBERED, limit=7).keeps(1000), "there are no more"


def test_the_brightness_is_that_of_the_images_in_the_table(tmp_path: Path) -> None:
    levels = [10, 60, 200]
    samples = [sample(f"s{level}", builders.png(np.full((16, 16, 3), level, np.uint8))) for level in levels]
    found = profiled(tmp_path, samples).brightness
    assert (found.count, found.minimum, found.maximum) == (3, 10, 200)
    assert found.mean == pytest.approx(90)


def test_sampling_leaves_the_counts_of_the_whole_shard(tmp_path: Path) -> None:
    profile = profiled(tmp_path, numbered(40), tasks=NUMBERED, limit=7)
    assert (profile.samples, profile.cached) == (40, 7)
    assert sum(profile.histograms["cls"]) == 40


def test_a_larger_limit_keeps_what_a_smaller_one_kept(tmp_path: Path) -> None:
    few = by_label(table_of(tmp_path, numbered(40), "a.tar", tasks=NUMBERED, limit=5))
    more = by_label(table_of(tmp_path, numbered(40), "b.tar", tasks=NUMBERED, limit=20))
    every = by_label(table_of(tmp_path, numbered(40), "c.tar", tasks=NUMBERED, limit=40))
    assert few.keys() < more.keys() < every.keys()
    assert every.keys() == set(range(40))


def test_noise_lies_within_the_bound_uses_all_of_it_and_is_centred(tmp_path: Path) -> None:
    clean = by_label(table_of(tmp_path, numbered(10), "a.tar", tasks=NUMBERED))
    noisy = by_label(table_of(tmp_path, numbered(10), "b.tar", tasks=NUMBERED, **noise()))
    change = np.stack([noisy[label].astype(int) - clean[label] for label in clean])
    assert (change.min(), change.max()) == (-8, 8)
    assert abs(change.mean()) < 0.3
    assert np.abs(change).mean() == pytest.approx(8 * 9 / 17, abs=0.2)  # uniform on -8..8


def test_noise_depends_on_key_and_seed_and_not_on_the_position(tmp_path: Path) -> None:
    one = by_label(table_of(tmp_path, numbered(6), "a.tar", tasks=NUMBERED, **noise()))
    turned = by_label(table_of(tmp_path, numbered(6, reverse=True), "b.tar", tasks=NUMBERED, **noise()))
    other = by_label(table_of(tmp_path, numbered(6), "c.tar", tasks=NUMBERED, **noise(seed=1)))
    for label in range(6):
        np.testing.assert_array_equal(one[label], turned[label])
        assert not np.array_equal(one[label], other[label])
    flat = np.full((16, 16, 3), 128, np.uint8)
    assert not np.array_equal(UniformNoise(8 / 255)(flat, "k1"), UniformNoise(8 / 255)(flat, "k2"))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_noise_keeps_layout_and_alpha_and_scales_with_the_depth(channels: int, dtype: type) -> None:
    scale = 257 if dtype == np.uint16 else 1
    pixels = builders.picture(0, 40, 50, channels).astype(dtype) * dtype(scale)
    noisy = UniformNoise(8 / 255)(pixels, "k")
    assert noisy.dtype == dtype
    assert noisy.shape == pixels.shape
    colours = channels - (channels in (2, 4))
    np.testing.assert_array_equal(noisy[..., colours:], pixels[..., colours:])
    change = noisy[..., :colours].astype(int) - pixels[..., :colours]
    assert np.abs(change).max() <= 8 * scale
    assert np.abs(change).max() > 7.9 * scale


@pytest.mark.parametrize("value", [0, 255])
def test_noise_does_not_wrap_around_black_and_white(value: int) -> None:
    noisy = UniformNoise(8 / 255)(np.full((30, 30, 3), value, np.uint8), "k")
    assert np.abs(noisy.astype(int) - value).max() == 8


def test_the_noise_is_added_at_the_images_own_size(tmp_path: Path) -> None:
    image = np.full((160, 160, 3), 128, np.uint8)
    table = table_of(tmp_path, [sample("k", builders.png(image))], **noise())
    change = table.images(np.arange(1))[0].astype(int) - 128
    # Ten by ten pixels of noise in one pixel of the view: it averages out, as it does for anybody who downsamples.
    assert 0 < np.abs(change).max() <= 3


def test_the_image_is_decoded_as_it_is_stored_not_as_it_is_displayed(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[274] = 6
    data = builders.encoded(Image.fromarray(builders.picture(0, 16, 16)), "JPEG", exif=turned)
    table = table_of(tmp_path, [sample("k", data, field="jpg")])
    np.testing.assert_array_equal(table.images(np.arange(1))[0], decode_image(data, max_pixels=256).pixels)
