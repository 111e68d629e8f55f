"""The demonstration dataset: reproducible, labelled as drawn, and not given away by a global statistic."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from stages.adapters.drawn.drawn import Scenes
from stages.adapters.drawn.scenes import TASKS, Layout, coverage, draw_scene, scene_generator, scene_layout


def layouts(count: int) -> list[Layout]:
    return [scene_layout(scene_generator(index, split="train", seed=0)) for index in range(count)]


def label_table(count: int) -> np.ndarray:
    return np.array([[layout.labels[task.name] for task in TASKS] for layout in layouts(count)])


def test_a_scene_is_the_same_whatever_was_drawn_before() -> None:
    forward = {index: draw_scene(index) for index in range(4)}
    for index in reversed(range(4)):
        pixels, labels = draw_scene(index)
        np.testing.assert_array_equal(pixels, forward[index][0])
        assert labels == forward[index][1]


def test_drawing_neither_reads_nor_moves_the_global_random_state() -> None:
    np.random.seed(1)
    first, _ = draw_scene(0)
    after = np.random.random()
    np.random.seed(1)
    assert np.random.random() == after
    np.testing.assert_array_equal(draw_scene(0)[0], first)


def test_samples_are_the_same_bytes_twice_and_a_longer_run_only_adds_to_them() -> None:
    short, long = (Scenes(train=1, test=count, seed=5) for count in (3, 6))
    rows = [[row for row in scenes.rows() if row.split == "test"] for scenes in (short, long)]
    assert rows[0] == rows[1][:3]
    assert [row.key for row in rows[0]] == ["test-000000", "test-000001", "test-000002"]
    assert [short.members(row) for row in rows[0]] == [long.members(row) for row in rows[0]]


def test_a_sample_is_a_jpeg_close_to_the_drawn_picture_with_its_labels() -> None:
    (_, encoded), (_, labels) = Scenes(size=48).draw("train", 0)
    picture = Image.open(io.BytesIO(encoded))
    drawn, expected = draw_scene(0, size=48)
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (48, 48))
    assert np.abs(np.asarray(picture).astype(int) - drawn).mean() < 4
    assert json.loads(labels) == expected


@pytest.mark.parametrize("size", [16, 48, 64, 128])
def test_a_picture_has_the_size_asked_for_and_uses_its_range(size: int) -> None:
    pixels, labels = draw_scene(7, size=size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 10
    assert list(labels) == [task.name for task in TASKS]


def test_the_same_scene_is_drawn_at_every_size() -> None:
    for index in range(6):
        small, small_labels = draw_scene(index, size=32)
        large, large_labels = draw_scene(index, size=128)
        shrunk = large.reshape(32, 4, 32, 4, 3).mean((1, 3))
        assert small_labels == large_labels
        assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("other", [{"split": "test"}, {"seed": 1}, {"index": 1}])
def test_another_split_seed_or_index_is_another_scene(other: dict[str, object]) -> None:
    pixels, _ = draw_scene(0)
    changed, _ = draw_scene(**{"index": 0, **other})  # type: ignore[arg-type]
    assert np.abs(pixels.astype(int) - changed).mean() > 10


def test_splits_share_no_scene() -> None:
    drawn = {split: {Scenes().draw(split, index)[0][1] for index in range(50)} for split in ("train", "test")}
    assert len(drawn["train"] | drawn["test"]) == 100


def test_labels_follow_the_stated_probabilities() -> None:
    table = label_table(3000)
    for column, task in zip(table.T, TASKS, strict=True):
        assert len(task.class_names) == len(task.probabilities)
        shares = np.bincount(column, minlength=len(task.class_names)) / len(column)
        np.testing.assert_allclose(shares, task.probabilities, atol=0.035)


def test_colour_and_size_are_imbalanced() -> None:
    probabilities = {task.name: task.probabilities for task in TASKS}
    for name in ("colour", "size"):
        assert max(probabilities[name]) >= 2 * min(probabilities[name])


def test_labels_are_independent_of_each_other() -> None:
    table = label_table(3000)
    for first in range(len(TASKS)):
        for second in range(first):
            joint = Counter(zip(table[:, first].tolist(), table[:, second].tolist(), strict=True))
            for (a, b), count in joint.items():
                expected = 3000 * TASKS[first].probabilities[a] * TASKS[second].probabilities[b]
                assert abs(count - expected) < 5 * expected**0.5 + 5


def test_position_label_names_the_quadrant_where_the_object_lies() -> None:
    names = next(task.class_names for task in TASKS if task.name == "position")
    for layout in layouts(60):
        mask = np.asarray(coverage(layout.outline_N, 64), float)
        rows, columns = (np.indices(mask.shape) * mask).sum((1, 2)) / mask.sum()
        expected = f"{'bottom' if rows > 31.5 else 'top'} {'right' if columns > 31.5 else 'left'}"
        assert names[layout.labels["position"]] == expected


def test_size_label_orders_the_objects_areas_whatever_their_shape() -> None:
    areas: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for layout in layouts(300):
        x, y = layout.outline_N.real, layout.outline_N.imag
        areas[layout.labels["size"]].append(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
    assert max(areas[0]) < min(areas[1])
    assert max(areas[1]) < min(areas[2])


def test_colour_label_is_the_hue_seen_on_plain_objects() -> None:
    names = next(task.class_names for task in TASKS if task.name == "colour")
    centres = dict(zip(names, (0, 55, 120, 182, 228, 307), strict=True))
    near = []
    for index, layout in enumerate(layouts(150)):
        if layout.labels["texture"] == 0:
            inside = np.asarray(coverage(layout.outline_N, 64)) == 255
            red, green, blue = np.median(draw_scene(index)[0][inside], axis=0)
            hue = np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue))
            distances = {name: abs((hue - centre + 180) % 360 - 180) for name, centre in centres.items()}
            near.append(min(distances, key=distances.__getitem__) == names[layout.labels["colour"]])
    assert np.mean(near) > 0.9


def test_the_pictures_mean_colour_does_not_give_the_colour_label_away() -> None:
    features = np.array([draw_scene(index, size=16)[0].mean((0, 1)) for index in range(600)])
    labels = label_table(600)[:, [task.name for task in TASKS].index("colour")]
    centroids = np.array([features[:400][labels[:400] == label].mean(0) for label in range(6)])
    guesses = np.linalg.norm(features[400:, None] - centroids, axis=2).argmin(1)
    assert (guesses == labels[400:]).mean() < 0.45


def test_a_picture_too_small_to_show_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be at least 16 pixels, found 8"):
        draw_scene(0, size=8)
