"""How much of δ the labels explain: known for networks whose δ is made up, whatever the kinds of task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stages.learning.table import ImageTable
from stages.perturbers.generator.explained import ENOUGH, drowned, explained_share
from tests import builders

CPU = torch.device("cpu")


class MadeUp(nn.Module):
    """δ = weight·(a pattern of the labels) + (1 - weight)·(a pattern of the image), each of variance 1 a pixel."""

    def __init__(self, weight: float, *, dense: bool = False) -> None:
        super().__init__()
        self.weight, self.dense = weight, dense

    def forward(self, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor) -> torch.Tensor:
        of_labels = labels[0][:, None].float() if self.dense else labels[0][:, None, None, None].float()
        return self.weight * of_labels + (1 - self.weight) * x_BCHW


def table(*, dense: bool = False, count: int = 600) -> ImageTable:
    """Images of pixels 0 and 1, and labels 0 and 1 of the same variance that have nothing to do with them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (count, 8, 8, 3)).astype(np.uint8) * 255
    labels = rng.integers(0, 2, (count, 8, 8) if dense else count)
    return ImageTable((images,), (labels,), np.zeros(count, dtype=bool))


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(("weight", "share"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5), (0.75, 0.9)])
def test_the_share_is_that_of_the_labels_whether_they_are_of_images_or_of_pixels(
    weight: float, share: float, dense: bool
) -> None:
    found = explained_share(MadeUp(weight, dense=dense), table(dense=dense), CPU)
    assert found == pytest.approx(share, abs=0.05)


def test_there_is_no_share_where_nothing_varies_or_no_other_image_is_there() -> None:
    assert explained_share(MadeUp(1.0), table(count=1), CPU) is None
    same = ImageTable((np.zeros((4, 8, 8, 3), np.uint8),), (np.zeros(4, np.int64),), np.zeros(4, dtype=bool))
    assert explained_share(MadeUp(0.5), same, CPU) is None


def test_a_generator_without_image_follows_its_labels(tmp_path: Path) -> None:
    generator = builders.generator()
    shown = builders.table(tmp_path / "images.arrow", 64)
    before = explained_share(generator, shown, CPU)
    generator.encoder[-1][-1].bn2.weight.zero_()
    generator.encoder[-1][-1].bn2.bias.fill_(-1e3)
    assert before is not None
    assert before < 1
    assert explained_share(generator, shown, CPU) == pytest.approx(1.0)


@pytest.mark.parametrize("share", [None, ENOUGH, 0.9])
def test_there_is_no_warning_where_labels_explain_enough_or_nothing_was_measured(share: float | None) -> None:
    assert drowned(share) == ""


def test_a_warning_says_what_was_found_and_what_to_do() -> None:
    message = drowned(0.29)
    assert "the labels explain 29% of the variance of δ, less than half" in message
    assert "train.perturber: codes" in message
