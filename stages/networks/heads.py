"""What the heads of a network answer: those that are one linear layer together, as one matrix product.

Shapes: B images, F features, K heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


def answers_of(heads: Sequence[nn.Module], seen_BF: torch.Tensor) -> list[torch.Tensor]:
    """One output a head, as each gives by itself: forty products with few columns take far longer than one.

    The gradient of a head that no loss looks at is then zero instead of none.
    """
    linear = [head for head in heads if type(head) is nn.Linear]
    given: list[torch.Tensor | None] = [head.bias for head in linear]
    biases = [bias for bias in given if bias is not None]
    if len(linear) < 2 or 0 < len(biases) < len(linear):
        return [head(seen_BF) for head in heads]
    weights = torch.cat([head.weight for head in linear])
    outputs_BO = functional.linear(seen_BF, weights, torch.cat(biases) if biases else None)
    parts = iter(outputs_BO.split([head.out_features for head in linear], dim=1))
    return [next(parts) if type(head) is nn.Linear else head(seen_BF) for head in heads]


def is_frozen(network: nn.Module) -> bool:
    """Whether no weight of a network learns."""
    return not any(parameter.requires_grad for parameter in network.parameters())
