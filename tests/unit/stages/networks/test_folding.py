"""A frozen network with its batch norms folded is the same network, whatever its architecture."""

import pytest
import torch
from torch import nn

from stages.networks.backbones.architectures import BACKBONES
from stages.networks.folding import folded
from stages.networks.pool import FINE, POOL

NETWORKS = {
    **{name: lambda name=name: BACKBONES[name](width=8, resolution=32) for name in BACKBONES},
    **{f"pool {name}": lambda name=name: POOL[name][0]().maps for name in POOL},
    **{f"fine {name}": lambda name=name: FINE[name]().maps for name in FINE},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_gives_what_the_network_gives(name: str) -> None:
    torch.manual_seed(0)
    network, x = NETWORKS[name](), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):  # as training leaves them, no two alike
                for value in (layer.weight, layer.running_var):
                    value.uniform_(0.5, 2)
                for value in (layer.bias, layer.running_mean):
                    value.normal_()
        expected, made = network.eval()(x), folded(network)
        torch.testing.assert_close(made(x), expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_residual_network_keeps_only_the_norms_of_its_shortcuts() -> None:
    made = folded(BACKBONES["resnet18"](width=8, resolution=32))
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in made.modules()) == 3
