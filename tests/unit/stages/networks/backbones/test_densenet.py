"""DenseNet-121: the full depth at the standard width, half of it where it is thin, small images at full resolution."""

from __future__ import annotations

import pytest
import torch

from stages.networks.backbones.densenet import DenseNet121


@pytest.mark.parametrize(("width", "layers"), [(4, [3, 6, 12, 8]), (16, [3, 6, 12, 8]), (17, [6, 12, 24, 16])])
def test_a_thin_network_has_half_the_layers_in_each_block(width: int, layers: list[int]) -> None:
    blocks = dict(DenseNet121(width=width, resolution=16).blocks.named_children())
    assert [len(list(blocks[f"denseblock{number}"].children())) for number in range(1, 5)] == layers


def test_small_images_keep_their_resolution_in_the_stem() -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert DenseNet121(width=4, resolution=32).stem(x).shape == (1, 4, 32, 32)
