"""Pairs to look at: each clean image beside its own protected one, whatever was left out between them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.configuration.plans import protect_plan, publish_plan
from schemas.config import Config
from stages.io.images.decoding import decode_image
from stages.io.shards.layout import published_layout
from stages.io.store.store import Store
from stages.protect.protect import protect_shard
from stages.report.pictures import Pair, sample_pairs
from tests import builders
from tests.builders import BuiltSample


def config(root: Path, image: str = "jpg;png", encoding: str = "png", **overrides: Any) -> Config:
    return builders.config(root, dataset={"image": image}, protect={"encoding": encoding}, **overrides)


def pairs(root: Path, path: Path, settings: Config, count: int) -> list[Pair]:
    source, ref = builders.shard_ref(path)
    output = Store(str(root / "public"))
    protect_shard(source, ref, output, protect_plan(settings), builders.perturber(), "identity")
    return sample_pairs(source, ref, output, publish_plan(settings), count)


@pytest.mark.parametrize(
    ("image", "encoding", "expected"),
    [
        ("jpg", "png", "png"),
        ("jpg;jpeg;png;webp", "png", "png"),
        ("jpg;png", "webp", "webp"),
        ("left.jpg", "png", "left.png"),
        ("left.jpg;right.jpg", "webp", "left.webp;right.webp"),
        ("image", "png", "png"),
    ],
)
def test_the_published_image_is_found_under_its_new_ending(
    image: str, encoding: str, expected: str, tmp_path: Path
) -> None:
    layout = config(tmp_path, image, encoding).dataset.layout
    assert published_layout(layout, encoding) == layout.model_copy(update={"image": expected})


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_each_clean_image_comes_with_its_own_protected_one_in_the_same_layout(encoding: str, tmp_path: Path) -> None:
    images = [builders.picture(number, 12 + number, 20, channels) for number, channels in enumerate([3, 1, 4, 2, 3])]
    images[2][..., 3] = 255  # opaque: WebP publishes it without alpha
    samples: list[BuiltSample] = []
    for number, pixels in enumerate(images):
        samples.append((f"bad{number}", [("png", b"broken"), ("json", b"{}")]))
        samples.append((f"k{number}", [("png", builders.png(pixels)), ("json", json.dumps({"a": 1}).encode())]))
    path = builders.write_shard(tmp_path / "raw" / "s.tar", samples)
    found = pairs(tmp_path, path, config(tmp_path, encoding=encoding), 4)
    assert [pair.key for pair in found] == ["k0", "k1", "k2", "k3"]
    for (_, clean, protected, _), original in zip(found, images, strict=False):
        np.testing.assert_array_equal(clean, original)
        assert protected.shape == clean.shape
        assert 0 < np.abs(protected.astype(int) - clean).max() <= 8


def test_fewer_samples_than_asked_for_are_all_shown(tmp_path: Path) -> None:
    path = builders.write_shard(tmp_path / "raw" / "s.tar", builders.labelled_samples(3))
    assert len(pairs(tmp_path, path, config(tmp_path), 10)) == 3


def test_a_renamed_member_and_a_parquet_column_are_followed(tmp_path: Path) -> None:
    left = builders.jpeg(builders.picture(0, 16, 16))
    tar = builders.write_shard(tmp_path / "raw" / "s.tar", [("k", [("left.jpg", left), ("json", b'{"a": 1}')])])
    ((key, clean, _, _),) = pairs(tmp_path, tar, config(tmp_path, "left.jpg"), 2)
    assert key == "k"
    np.testing.assert_array_equal(clean, decode_image(left, max_pixels=999).pixels)
    table = tmp_path / "raw" / "p.parquet"
    pq.write_table(pa.table({"image": pa.array([left, left], pa.binary()), "a": [0, 1]}), table)
    tasks = [{"field": "a", "classes": 3}, {"field": "b", "classes": 2}]
    found = pairs(tmp_path, table, config(tmp_path, "image", tasks=tasks), 2)
    assert [pair.key for pair in found] == ["p-00000000", "p-00000001"]
    np.testing.assert_array_equal(found[0][1], clean)
