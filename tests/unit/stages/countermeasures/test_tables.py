"""Countermeasures that change the data: they take out what they say, nothing else, and a victim learns by them."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch

from schemas.plans import VictimPlan
from schemas.training import OwnCountermeasure
from stages.audit.train_victim import train_victim
from stages.countermeasures.countermeasure import Data
from stages.countermeasures.every_image import Scaled
from stages.countermeasures.registry import COUNTERMEASURES
from stages.countermeasures.removal import mean_directions, predictive_directions, projected, without_class_means
from stages.countermeasures.words import WORDS
from stages.learning.table import ImageTable
from stages.tasks.kinds import kinds_of
from tests import builders

SIDE, CLASSES = 16, (3, 2)
KINDS = builders.kinds(CLASSES)


def codes(rng: np.random.Generator, strength: int) -> list[np.ndarray]:
    """For each task one pattern a class, in levels."""
    return [strength * np.sign(rng.normal(size=(count, SIDE, SIDE, 3))) for count in CLASSES]


def coded(count: int = 240, *, strength: int = 8, seed: int = 0, spread: float = 20) -> ImageTable:
    """Noise on which nothing shows but a code of each label."""
    rng = np.random.default_rng(seed)
    labels = [rng.integers(0, classes, count) for classes in CLASSES]
    image = rng.normal(128, spread, (count, SIDE, SIDE, 3))
    image += sum(code[label] for code, label in zip(codes(np.random.default_rng(7), strength), labels, strict=True))
    return ImageTable((np.clip(image, 0, 255).astype(np.uint8),), tuple(labels), np.zeros(count, dtype=bool))


def nearest_mean_accuracy(train: ImageTable, test: ImageTable, task: int) -> float:
    """How often the nearest class mean of the training images is the right one for a test image."""
    flat, asked = (table.images(np.arange(len(table))).reshape(len(table), -1).astype(float) for table in (train, test))
    means = np.stack([flat[train.labels[task] == label].mean(0) for label in range(CLASSES[task])])
    found = ((asked[:, None] - means[None]) ** 2).sum(2).argmin(1)
    return float((found == test.labels[task]).mean())


@pytest.mark.parametrize("directions_of", [predictive_directions, mean_directions])
def test_what_is_projected_out_is_gone_and_takes_the_codes_with_it(directions_of: Callable[..., torch.Tensor]) -> None:
    train, test = coded(2000, strength=3), coded(240, strength=3, seed=1)
    assert nearest_mean_accuracy(train, test, 0) > 0.95
    directions_JD = directions_of(train, KINDS)
    assert sum(CLASSES) - len(CLASSES) <= len(directions_JD) <= sum(CLASSES)
    assert torch.allclose(directions_JD @ directions_JD.T, torch.eye(len(directions_JD)), atol=1e-4)
    left = [projected(table, directions_JD) for table in (train, test)]
    seen = left[1].images(np.arange(240)).reshape(240, -1).astype(np.float32) - 127.5
    assert np.abs(seen @ directions_JD.numpy().T).max() < 2  # of values in the hundreds; float16 rounds
    assert nearest_mean_accuracy(left[0], left[1], 0) < 0.5
    assert nearest_mean_accuracy(left[0], left[1], 1) < 0.7


def test_a_projection_comes_out_the_same_from_the_same_seed_whatever_was_drawn_before() -> None:
    first = predictive_directions(coded(64), KINDS, seed=3, epochs=2)
    torch.rand(9)
    assert torch.equal(first, predictive_directions(coded(64), KINDS, seed=3, epochs=2))


def test_without_their_means_the_classes_of_every_task_have_the_same_mean() -> None:
    table = coded(300)
    left = without_class_means(table, KINDS)
    flat = left.images(np.arange(300)).astype(np.float32)
    whole = table.images(np.arange(300)).astype(np.float32).mean(0)
    for labels, count in zip(table.labels, CLASSES, strict=True):
        for label in range(count):
            assert np.abs(flat[labels == label].mean(0) - whole).max() < 0.2
    assert left.labels is table.labels


def test_a_bounded_removal_changes_no_pixel_by_more_than_its_bound() -> None:
    table = coded(strength=30)
    left = without_class_means(table, KINDS, bound=8)
    difference = np.abs(left.images(np.arange(240)).astype(np.float32) - table.images(np.arange(240)))
    assert 7.9 < difference.max() <= 8 + 0.125  # float16 rounds


def test_an_image_without_labels_keeps_its_own_evidence() -> None:
    table = coded(240)
    missing = tuple(np.where(np.arange(240) < 40, -1, labels) for labels in table.labels)
    left = without_class_means(ImageTable(table.chunks, missing, table.gray_N), KINDS)
    shift = left.images(np.arange(40)).astype(np.float32) - table.images(np.arange(40))
    assert np.abs(shift - shift[0]).max() < 0.2  # the same small shift for each: nothing of a class


def test_a_table_in_several_chunks_is_changed_like_one() -> None:
    table = coded(90)
    images = table.images(np.arange(90))
    parted = ImageTable((images[:17], images[17:60], images[60:]), table.labels, table.gray_N)
    for name in ("gray", "projection", "mean_projection", "class_means", "class_means_8"):
        one, other = (
            COUNTERMEASURES[name].changed(Data(each, each, KINDS, 0)).train.images(np.arange(90))
            for each in (table, parted)
        )
        assert np.allclose(one, other, atol=0.2), name


def victim(table: ImageTable, test: ImageTable, **values: Any) -> float:
    plan = VictimPlan(
        tasks=builders.tasks((3,)), data="protected", backbone="plain", width=8, epochs=6, batch_size=16, augment=[],
        seed=0, **values,
    )  # fmt: skip
    return max(
        epoch["a"]["balanced_accuracy"] for epoch in train_victim(table, test, plan, torch.device("cpu")).figures
    )


def striped(count: int, seed: int, *, tinted: bool) -> ImageTable:
    """Gray stripes, their width the label; `tinted` adds a strong colour of the label that has the luma 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    image = rng.normal(128, 12, (count, SIDE, SIDE, 1)).repeat(3, axis=3)
    for row, label in enumerate(labels):
        image[row] += 14 * np.sign(np.sin(2 * np.pi * (label + 1) * np.arange(SIDE) / 8))[None, :, None]
    if tinted:
        tints = 40 * np.array([[0.587, -0.299, 0], [0, -0.114, 0.587], [-0.114, 0, 0.299]])
        image += 2 * tints[labels][:, None, None, :]
    return ImageTable((np.clip(image, 0, 255).astype(np.uint8),), (labels,), np.zeros(count, dtype=bool))


def test_a_victim_that_sees_gray_learns_what_a_shortcut_of_colours_hid_from_a_plain_one() -> None:
    train, test = striped(160, 0, tinted=True), striped(120, 1, tinted=False)
    plain, gray = victim(train, test), victim(train, test, countermeasure="gray")
    assert gray > plain + 0.15  # over 4 sets, with and without AVX: plain 0.60 to 0.67, gray 1.00


def larger(table: ImageTable) -> ImageTable:
    """At twice the side, so that half of it is enough for a network."""
    return Scaled(2).changed(Data(table, table, KINDS, 0)).train


@pytest.mark.parametrize("name", list(COUNTERMEASURES))
def test_every_countermeasure_trains_a_victim_of_tasks_with_missing_labels(name: Any) -> None:
    table = larger(coded(48))
    labels = tuple(np.where(np.arange(48) % 5 == 0, -1, each) for each in table.labels)
    plan = VictimPlan(
        tasks=builders.tasks(CLASSES), data="protected", backbone="plain", width=4, epochs=1, batch_size=16,
        augment=["crop"], seed=0, countermeasure=name,
    )  # fmt: skip
    test = larger(coded(30, seed=1))
    found = train_victim(ImageTable(table.chunks, labels, table.gray_N), test, plan, torch.device("cpu"))
    assert found.countermeasure == name
    assert set(found.figures[0]) == {"a", "b"}
    assert kinds_of(plan.tasks)[0].known(torch.tensor([-1])).tolist() == [False]


def test_every_countermeasure_has_its_words_and_no_words_are_of_another() -> None:
    assert WORDS.keys() == COUNTERMEASURES.keys() == set(get_args(OwnCountermeasure))
