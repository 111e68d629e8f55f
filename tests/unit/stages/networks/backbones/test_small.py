"""The judges: what makes them unlike the surrogates stays so."""

from __future__ import annotations

import torch
from torch import nn

from stages.networks.backbones.architectures import BACKBONES
from stages.networks.backbones.small import Plain, Stride5


def test_plain_has_neither_batch_norm_nor_any_other_state_but_three_convolutions() -> None:
    net = Plain(width=8, resolution=32)
    assert {type(layer) for layer in net.layers} == {nn.Conv2d, nn.ReLU, nn.MaxPool2d}
    assert [layer.out_channels for layer in net.layers if isinstance(layer, nn.Conv2d)] == [12, 24, 32]
    assert not list(net.buffers())


def test_stride5_halves_the_image_in_its_first_layer_and_four_times_fewer_places_remain() -> None:
    net, x = Stride5(width=8, resolution=32), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert net.layers[0](x).shape == (1, 8, 16, 16)
    assert net(x).shape == (1, 32, 4, 4)


def test_the_judges_have_fewer_weights_than_every_deep_network_at_the_standard_width() -> None:
    def weights(name: str) -> int:
        with torch.device("meta"):
            return sum(value.numel() for value in BACKBONES[name](width=64, resolution=224).parameters())

    judges = {"stride5", "plain"}
    assert max(weights(name) for name in judges) < min(weights(name) for name in BACKBONES.keys() - judges)
