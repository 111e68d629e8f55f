"""Progressive staged training: the victim's shallow layers stop learning before its deep ones.

After "Flew Over Learning Trap: Learn Unlearnable Samples by Progressive Staged Training" (arXiv 2306.02064): early in a
training a model learns the images and the perturbation alike; then its shallow layers turn to the perturbation alone.
Here layers stop one after the other, the first ones after one pass and the last ones at the end of the training.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from stages.countermeasures.countermeasure import Countermeasure
from stages.networks.multitask import MultiTaskModel


@dataclass(frozen=True)
class Staged(Countermeasure):
    """At progress p the first share p of the backbone's layers stays as it is; the heads learn to the end."""

    def begin_epoch(self, model: MultiTaskModel, progress: float = 0.0) -> None:
        """In train mode, so that batch statistics go on; the first layers learn no more."""
        model.train()
        layers = learning_layers(model.backbone)
        for number, layer in enumerate(layers):
            layer.requires_grad_(number >= int(progress * len(layers)))


def learning_layers(network: nn.Module) -> list[nn.Module]:
    """The modules that have parameters of their own, from the images on."""
    return [module for module in network.modules() if any(True for _ in module.parameters(recurse=False))]
