"""Frozen networks with each batch norm folded into the convolution before it: the same outputs, a pass less a layer."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def folded(network: Network) -> Network:
    """A frozen copy of a network, for δ that learns through it; its outputs are equal but for rounding.

    A convolution whose next sibling is a batch norm of its channels is computed together with it: in each network here
    the order of the children is that of the computation.

    Args:
        network: of `stages/networks`; not changed.
    """
    made = copy.deepcopy(network).eval()
    for module in list(made.modules()):
        children = list(module.named_children())
        for (name, first), (other, second) in pairwise(children):
            # A subclass of a convolution may compute its result another way.
            if type(first) is not nn.Conv2d or not isinstance(second, nn.BatchNorm2d):
                continue
            if first.out_channels == second.num_features:
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, other, nn.Identity())
    return made.requires_grad_(False)
