"""Augmentation: shifts and flips, nothing else, differentiable, and random only through the given generator."""

import pytest
import torch

from stages.learning.augment import augment


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 16, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=seeded(9)) + 0.1


def shift_of(image: torch.Tensor, made: torch.Tensor, reach: int) -> tuple[int, int] | None:
    """How far `made` is shifted against `image`, with zeros where it was outside; None: by no allowed shift."""
    side = image.shape[-1]
    padded = torch.nn.functional.pad(image, (reach,) * 4)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            if torch.equal(padded[:, down : down + side, right : right + side], made):
                return down - reach, right - reach
    return None


def test_without_kinds_nothing_changes() -> None:
    x = images()
    assert torch.equal(augment(x, [], seeded()), x)


@pytest.mark.parametrize("side", [4, 7, 16, 33])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 33])
def test_crop_shifts_every_image_by_at_most_an_eighth_of_its_side(count: int, side: int) -> None:
    x = images(count, side)
    made = augment(x, ["crop"], seeded())
    assert made.shape == x.shape
    assert all(shift_of(one, other, max(1, side // 8)) is not None for one, other in zip(x, made, strict=True))


def test_crop_uses_the_whole_reach_in_both_directions_and_differs_within_a_batch() -> None:
    x = images(32)
    shifts = [
        shift_of(x[row], made, 2) for seed in range(12) for row, made in enumerate(augment(x, ["crop"], seeded(seed)))
    ]
    assert {shift[0] for shift in shifts if shift} == {-2, -1, 0, 1, 2}
    assert {shift[1] for shift in shifts if shift} == {-2, -1, 0, 1, 2}
    assert len(set(shifts[:32])) > 1


def test_flip_mirrors_about_half_of_the_images_left_to_right() -> None:
    x = images(200)
    made = augment(x, ["flip"], seeded())
    mirrored = [torch.equal(other, one.flip(2)) for one, other in zip(x, made, strict=True)]
    kept = [torch.equal(other, one) for one, other in zip(x, made, strict=True)]
    assert all(one != other for one, other in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130


def test_the_given_generator_is_the_only_source_of_randomness() -> None:
    x = images()
    before = torch.get_rng_state()
    one = augment(x, ["crop", "flip"], seeded(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(augment(x, ["crop", "flip"], seeded(1)), one)
    assert not torch.equal(augment(x, ["crop", "flip"], seeded(2)), one)


def test_gradients_reach_every_pixel_that_is_still_seen() -> None:
    x = images().requires_grad_()
    augment(x, ["crop", "flip"], seeded()).sum().backward()
    assert x.grad is not None
    assert set(x.grad.unique().tolist()) <= {0.0, 1.0}
    seen = x.grad.mean(dim=(1, 2, 3))
    assert seen.min() >= (14 / 16) ** 2
