"""Residual networks: the shortcut computes what a strided convolution does, and small images keep their resolution."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stages.networks.backbones.resnet import ResNet18, ResNet50, Shortcut


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(4, 16, 16, 16), (2, 5, 9, 11)])
def test_the_shortcut_is_a_strided_convolution(memory: torch.memory_format, shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    shortcut, plain = Shortcut(shape[1], 7, 2), nn.Conv2d(shape[1], 7, kernel_size=1, stride=2, bias=False)
    plain.load_state_dict(shortcut.state_dict())
    x = torch.rand(shape, generator=rng).contiguous(memory_format=memory)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = shortcut(ours), plain(theirs)
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(shortcut.weight.grad, plain.weight.grad)


@pytest.mark.parametrize("backbone", [ResNet18, ResNet50])
def test_small_images_keep_their_resolution_in_the_stem(backbone: type[ResNet18] | type[ResNet50]) -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert backbone(width=4, resolution=32).stem(x).shape == (1, 4, 32, 32)
