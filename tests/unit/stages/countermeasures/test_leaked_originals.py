"""What originals in the attacker's hands do to the training data, and what the control is."""

from __future__ import annotations

import numpy as np

from stages.countermeasures.countermeasure import Data
from stages.countermeasures.leaked_originals import CleanSamples, Coverage, Purifier, nearest_rows
from stages.learning.table import ImageTable
from tests import builders

KINDS = builders.kinds((3,))


def tables(count: int = 100, side: int = 16) -> tuple[ImageTable, ImageTable]:
    """Clean images, and the same with one pattern of ±8 levels for each label."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    clean = rng.integers(60, 190, (count, side // 4, side // 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    codes = 8 * np.sign(rng.normal(size=(3, side, side, 3)))
    protected = (clean + codes[labels]).astype(np.uint8)
    gray = np.zeros(count, dtype=bool)
    return ImageTable((clean.astype(np.uint8),), (labels,), gray), ImageTable((protected,), (labels,), gray)


CLEAN, PROTECTED = tables()


def images(table: ImageTable) -> np.ndarray:
    return table.images(np.arange(len(table)))


def found_in(table: ImageTable, other: ImageTable) -> int:
    """How many images of a table are images of the other."""
    known = {image.tobytes() for image in images(other)}
    return sum(image.tobytes() in known for image in images(table))


def test_a_few_clean_samples_are_added_until_they_are_a_fifth() -> None:
    seen = CleanSamples(0.04).changed(Data(PROTECTED, CLEAN, KINDS, 0, CLEAN)).train
    assert found_in(seen, PROTECTED) == 100
    assert found_in(seen, CLEAN) == 24  # 4 samples, 6 times
    assert len(seen.labels[0]) == len(seen) == 124


def test_the_control_of_a_leak_has_nothing_but_the_leak() -> None:
    few = CleanSamples(0.04).changed(Data(CLEAN, CLEAN, KINDS, 0)).train
    assert len(few) == 4
    rest = Coverage(0.8).changed(Data(CLEAN, CLEAN, KINDS, 0)).train
    assert len(rest) == 20
    assert Purifier(10).changed(Data(CLEAN, CLEAN, KINDS, 0)).train is CLEAN


def test_partial_coverage_has_each_sample_once_with_its_own_label() -> None:
    seen = Coverage(0.8).changed(Data(PROTECTED, CLEAN, KINDS, 0, CLEAN)).train
    assert (found_in(seen, PROTECTED), found_in(seen, CLEAN), len(seen)) == (80, 20, 100)
    labels = {image.tobytes(): label for image, label in zip(images(CLEAN), CLEAN.labels[0], strict=True)}
    labels |= {image.tobytes(): label for image, label in zip(images(PROTECTED), PROTECTED.labels[0], strict=True)}
    assert [labels[image.tobytes()] for image in images(seen)] == seen.labels[0].tolist()


def test_pairs_are_found_whatever_the_order_of_the_rows() -> None:
    order = np.random.default_rng(1).permutation(100)
    turned = ImageTable((images(PROTECTED)[order][:31], images(PROTECTED)[order][31:]), CLEAN.labels, CLEAN.gray_N)
    assert np.array_equal(order[nearest_rows(images(CLEAN)[:20], turned)], np.arange(20))


def test_a_purifier_brings_images_that_it_never_saw_nearer_to_their_originals() -> None:
    data = Data(PROTECTED, CLEAN, KINDS, 0, CLEAN)
    seen = Purifier(60).changed(data).train
    left = np.abs(images(seen).astype(int) - images(CLEAN)).mean()
    assert left < 0.8 * np.abs(images(PROTECTED).astype(int) - images(CLEAN)).mean()
