"""Drawn outlines: reproducible, labelled as drawn, learnable from the outline alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ConfigError
from stages.adapters.drawn.drawn import Outlines
from stages.adapters.drawn.outlines import CLASSES, OUTLINES, cells, draw_outlines
from stages.io.shards.sample import Sample
from stages.io.shards.tar import read_tar
from tests.datasets import imported
from tests.running import contents


def test_a_picture_is_the_same_whatever_was_drawn_before_and_whatever_numpy_has_drawn() -> None:
    forward = {index: draw_outlines(index) for index in range(4)}
    np.random.seed(1)
    for index in reversed(range(4)):
        pixels, labels = draw_outlines(index)
        np.testing.assert_array_equal(pixels, forward[index][0])
        assert labels == forward[index][1]
    assert not np.array_equal(draw_outlines(0, split="test")[0], forward[0][0])
    assert not np.array_equal(draw_outlines(0, seed=1)[0], forward[0][0])


def test_a_finer_picture_shows_the_same_bodies() -> None:
    coarse, labels = draw_outlines(3, size=32)
    fine, same = draw_outlines(3, size=64)
    assert labels == same
    halved = np.asarray(Image.fromarray(fine).resize((32, 32), Image.Resampling.BOX)).astype(int)
    assert np.abs(halved - coarse).mean() < 6


@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 8, 16])
def test_each_body_lies_in_a_cell_of_its_own_and_stays_in_the_picture(tasks: int) -> None:
    places = cells(tasks)
    assert len(places) == tasks
    for number, (middle, side) in enumerate(places):
        assert all(part - side / 2 + 1e-9 >= 0 and part + side / 2 <= 1 + 1e-9 for part in (middle.real, middle.imag))
        for other, _ in places[:number]:
            assert max(abs((middle - other).real), abs((middle - other).imag)) >= side - 1e-9
    pixels, labels = draw_outlines(0, size=48, tasks=tasks)
    assert pixels.shape == (48, 48, 3)
    assert list(labels) == [f"body-{number + 1}" for number in range(tasks)]
    assert (pixels.max(axis=2) > 60).mean() > 0.05 * tasks * places[0][1] ** 2


def test_every_outline_has_the_same_area_and_every_label_occurs_evenly() -> None:
    areas = [
        abs(np.dot(shape.real, np.roll(shape.imag, 1)) - np.dot(shape.imag, np.roll(shape.real, 1))) / 2
        for shape in OUTLINES
    ]
    np.testing.assert_allclose(areas, np.pi)
    assert len(OUTLINES) == len(CLASSES) == len(set(CLASSES))
    labels = np.array([list(draw_outlines(index, size=16)[1].values()) for index in range(1000)])
    for column in labels.T:
        assert np.bincount(column, minlength=10).min() > 60
    assert abs(np.corrcoef(labels.T)[0, 1]) < 0.1


def test_mean_colour_and_size_say_nothing_about_the_outline() -> None:
    rows = [draw_outlines(index, size=16, tasks=1) for index in range(600)]
    labels = np.array([labels["body-1"] for _, labels in rows])
    features = np.array([[*pixels.mean(axis=(0, 1)), (pixels.max(axis=2) > 60).mean()] for pixels, _ in rows])
    between = np.var([features[labels == label].mean(axis=0) for label in range(10)], axis=0)
    assert (between / features.var(axis=0)).max() < 0.1


def test_shards_hold_what_was_drawn_and_a_second_import_writes_nothing(tmp_path: Path) -> None:
    adapter = Outlines(train=5, test=2, tasks=3, size=16)
    summary = imported(adapter, tmp_path, samples=3)
    shards = {shard.name: shard.samples for split in summary.splits.values() for shard in split.shards}
    assert shards == {"test-00000.tar": 2, "train-00000.tar": 3, "train-00001.tar": 2}
    before = contents(str(tmp_path))
    drawn, labels = draw_outlines(0, split="test", tasks=3, size=16)
    sample = next(read_tar(tmp_path / "test-00000.tar", "test-00000.tar"))
    assert isinstance(sample, Sample)
    members = {member.field: member.data for member in sample.members}
    assert (sample.key, [*members], json.loads(members["json"])) == ("test-000000", ["png", "json"], labels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(members["png"]))), drawn)
    assert imported(adapter, tmp_path, samples=3) == summary
    assert contents(str(tmp_path)) == before


@pytest.mark.parametrize("values", [{"tasks": 0}, {"tasks": 17}, {"size": 15}, {"train": 0}, {"seed": -1}])
def test_what_cannot_be_drawn_is_refused_by_name(values: dict[str, int]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=name):
        Outlines.of(**{"train": 2, "test": 2, **values})
