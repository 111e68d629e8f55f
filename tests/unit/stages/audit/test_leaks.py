"""Leak tests: what can be told of a protection is told, what cannot be told stands at chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from schemas.evidence import Leak
from stages.audit.leak_pairs import Pairs, pairs_of
from stages.audit.leak_tests import delta_alone, detectable, unlisted
from stages.audit.verdict import reach_verdict
from stages.learning.sampling import key_hashes
from stages.learning.table import ImageTable
from tests import builders
from tests.evidence import TASKS, victims

COUNT, SIDE = 240, 16


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    return builders.table(tmp_path_factory.mktemp("clean") / "images.arrow", COUNT)


def paired(clean: ImageTable, delta_NRRC: np.ndarray) -> Pairs:
    """Pairs whose protected images are the clean ones plus δ in levels of 255."""
    images = clean.images(np.arange(COUNT))
    noise, protected = (
        np.clip(images + delta, 0, 255).astype(np.uint8) for delta in (random_delta(seed=7), delta_NRRC)
    )
    return Pairs(images, noise, protected, clean.labels, builders.tasks(), seed=0)


def random_delta(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8, 9, (COUNT, SIDE, SIDE, 3))


def code_of_a(clean: ImageTable) -> np.ndarray:
    """One pattern for each class of the first task, the same for all images of it; nothing about the second."""
    return np.random.default_rng(1).integers(-8, 9, (3, SIDE, SIDE, 3))[clean.labels[0]]


def only(leaks: list[Leak]) -> Leak:
    (leak,) = leaks
    return leak


def test_noise_on_every_image_is_told_from_none_and_no_change_is_not(clean: ImageTable) -> None:
    smooth = np.stack([builders.picture(seed, SIDE, SIDE) for seed in range(COUNT)])
    photos = ImageTable((smooth,), clean.labels, clean.gray_N)
    noisy, same = (only(detectable(paired(photos, delta))) for delta in (random_delta(), 0 * random_delta()))
    assert noisy.chance == same.chance == 0.5
    assert noisy.reached > 0.8
    assert same.reached == pytest.approx(0.5)  # both images of a pair are tested on, and they are the same
    assert noisy.samples == COUNT
    assert noisy.error is not None
    assert noisy.error < 0.06


def test_delta_alone_predicts_the_task_whose_code_it_is_and_not_the_other(clean: ImageTable) -> None:
    found = {leak.task: leak for leak in delta_alone(paired(clean, code_of_a(clean)))}
    assert found["a"].chance == pytest.approx(1 / 3)
    assert found["a"].reached > 0.95
    assert abs(found["b"].reached - 0.5) < 0.2
    assert found["b"].samples == COUNT // 2
    assert found["a"].noise is not None
    assert found["a"].noise < 0.6


def test_noise_that_is_cut_at_black_shows_the_image_and_the_control_says_so(clean: ImageTable) -> None:
    dark = np.clip(clean.images(np.arange(COUNT)).astype(int) - 170, 0, 255).astype(np.uint8)
    pairs = paired(ImageTable((dark,), clean.labels, clean.gray_N), random_delta())
    tint = next(leak for leak in delta_alone(pairs) if leak.task == "a")
    assert tint.noise is not None
    assert tint.noise > tint.chance + 0.2
    assert abs(tint.reached - tint.noise) < 0.2


def test_delta_that_is_noise_predicts_nothing(clean: ImageTable) -> None:
    for leak in delta_alone(paired(clean, random_delta())):
        assert leak.reached < leak.chance + 0.2


def test_pairs_are_the_same_sample_whatever_the_order_and_what_one_table_lacks_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (6, SIDE, SIDE, 3)).astype(np.uint8)

    def table(name: str, numbers: list[int]) -> tuple[ImageTable, np.ndarray]:
        writer = builders.TableWriter(tmp_path / name, resolution=SIDE, kinds=builders.kinds())
        for number in numbers:
            writer.add(images[number], [number % 3, number % 2], gray=False, key=f"s{number}")
        writer.close()
        return builders.open_table([tmp_path / name], builders.kinds()), key_hashes([tmp_path / name])

    (one, keys), (other, other_keys) = table("one", [0, 1, 2, 3, 4]), table("other", [5, 4, 2, 1])
    tables = {"clean": one, "noise": one, "protected": other}
    pairs = pairs_of(tables, {"clean": keys, "noise": keys, "protected": other_keys}, builders.tasks(), 0)
    assert len(pairs) == 3
    assert np.array_equal(pairs.clean, pairs.protected)
    shown = {int(np.argmax((images == image).all(axis=(1, 2, 3)))) for image in pairs.clean}
    assert shown == {1, 2, 4}
    for image, a, b in zip(pairs.clean, *pairs.labels, strict=True):
        number = int(np.argmax((images == image).all(axis=(1, 2, 3))))
        assert (a, b) == (number % 3, number % 2)


def test_what_remains_of_an_open_task_is_the_figure_of_its_victims_beside_clean_ones() -> None:
    evidence = reach_verdict(TASKS, [True, False], victims(([0.5, 0.5], [0.6, 0.5])))
    leak = only(unlisted(evidence.tasks, 100))
    assert (leak.task, leak.reached, leak.clean, leak.chance) == ("size", 0.6, 0.7, 0.1)
    assert unlisted(reach_verdict(TASKS, [True, True], victims(([0.5, 0.5], [0.6, 0.5]))).tasks, 100) == []


def test_of_large_images_the_middle_is_looked_at_as_it_is() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 80, 80, 3)).astype(np.uint8)
    table = ImageTable((images,), (np.array([0, 1, 2]), np.array([0, 1, 0])), np.zeros(3, dtype=bool))
    versions = ("clean", "noise", "protected")
    pairs = pairs_of(dict.fromkeys(versions, table), dict.fromkeys(versions, np.arange(3)), builders.tasks(), 0)
    assert np.array_equal(pairs.clean, images[:, 8:72, 8:72])
