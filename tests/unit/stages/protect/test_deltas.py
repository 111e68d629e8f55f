"""δ that repeats is computed once, and is the same as if it were computed for each image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from schemas.plans import GeneratorSpec
from stages.ingest.ingest import ReadSample
from stages.io.images.decoding import Decoded
from stages.io.shards.sample import Sample
from stages.perturbers.codes import ClassCodes
from stages.perturbers.perturber import GeneratorPerturber
from stages.protect import deltas, perturb
from stages.protect.deltas import Deltas
from stages.protect.perturb import Shifts, add_perturbation, perturbed_strips, shifted
from tests import builders

EPSILON = 8 / 255


def codes() -> GeneratorPerturber:
    spec = GeneratorSpec(
        network="codes", resolution=16, epsilon=EPSILON, tasks=builders.tasks(), protected=[True, True]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GeneratorPerturber(ClassCodes(spec).eval().requires_grad_(False), "codes")


def samples(labels: Sequence[tuple[int, int]], channels: int = 3) -> list[ReadSample]:
    pixels = builders.picture(0, 20, 24, channels)
    return [
        ReadSample(Sample(f"s{number}", ()), Decoded(pixels, "RGB", False), list(pair))
        for number, pair in enumerate(labels)
    ]


LABELS = [(0, 0), (1, 1), (0, 0), (-1, 1), (2, 0), (1, 1), (0, 0)]


@pytest.mark.parametrize("kept", [32 * 2**20, 0])
def test_codes_are_asked_for_once_for_each_combination_of_labels(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "KEPT_BYTES", kept)
    perturber, asked = codes(), []
    alone = [Deltas(perturber, builders.kinds()).of([each])[0] for each in samples(LABELS)]
    inner = perturber.delta

    def counting(views: torch.Tensor, labels: Sequence[torch.Tensor], gray: torch.Tensor, keys: Sequence[str]):
        asked.append(len(keys))
        return inner(views, labels, gray, keys)

    monkeypatch.setattr(perturber, "delta", counting)
    made = Deltas(perturber, builders.kinds())
    found = [*made.of(samples(LABELS[:4])), *made.of(samples(LABELS[4:]))]
    assert asked == ([3, 1] if kept else [3, 3])
    for one, other in zip(found, alone, strict=True):
        assert one.name == other.name
        assert torch.equal(one.values_CRR, other.values_CRR)
    assert len({delta.name for delta in found}) == 4


def test_gray_images_and_images_in_colour_have_their_own() -> None:
    made = Deltas(codes(), builders.kinds())
    (gray,), (colour,) = made.of(samples([(0, 0)], channels=1)), made.of(samples([(0, 0)]))
    assert gray.name != colour.name
    assert torch.equal(gray.values_CRR[0], gray.values_CRR[1])
    assert not torch.equal(gray.values_CRR, colour.values_CRR)


def test_a_perturber_that_sees_images_is_asked_about_each() -> None:
    found = Deltas(builders.perturber(), builders.kinds()).of(samples(LABELS))
    assert [delta.name for delta in found] == [None] * len(LABELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("ties", [False, True])
def test_a_shift_gives_the_pixels_of_the_formula(channels: int, dtype: type, ties: bool) -> None:
    rng = np.random.default_rng([channels, ties])
    peak = int(np.iinfo(dtype).max)
    for height, width in ((16, 16), (24, 17), (9, 40), (1, 1), (1, 4), (4, 1)):
        pixels = rng.integers(0, peak, (height, width, channels), dtype=dtype, endpoint=True)
        pixels[: height // 2] = np.where(pixels[: height // 2] > peak // 2, peak, 0)
        levels = rng.integers(-17, 18, (3, 16, 16)) / 2 if ties else rng.uniform(-9, 9, (3, 16, 16))
        delta = torch.from_numpy((levels * (peak / 255) / peak).astype(np.float32))
        expected = np.empty_like(pixels)
        for columns, strip in perturbed_strips(pixels, delta, EPSILON):
            expected[:, columns] = strip
        np.testing.assert_array_equal(add_perturbation(pixels, delta, EPSILON), expected)
        shifts = Shifts(EPSILON)
        for _ in range(2):
            np.testing.assert_array_equal(shifted(pixels, shifts.of(pixels, delta, b"a")), expected)


def test_shifts_forget_what_was_asked_for_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = builders.picture(0, 16, 16)
    monkeypatch.setattr(perturb, "KEPT_BYTES", 5 * pixels.nbytes)
    shifts, delta = Shifts(EPSILON), torch.full((3, 16, 16), 4 / 255)
    for name in (b"a", b"b", b"a", b"c"):
        shifts.of(pixels, delta, name)
    assert [key[0] for key in shifts.kept] == [b"a", b"c"]  # type: ignore[index]
    assert shifts.bytes == 4 * pixels.nbytes
