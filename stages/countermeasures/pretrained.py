"""A victim that starts from weights trained elsewhere: fine-tuned as a whole, or frozen below its heads.

Features that were learned on other data know no shortcut of this dataset; to learn on top of them is an attacker's
cheapest way around one. The weights come from a local file (`audit.pretrained`); nothing is downloaded.

The control starts from the same weights and learns from clean data.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.countermeasures.countermeasure import Countermeasure
from stages.networks.multitask import MultiTaskModel


@dataclass(frozen=True)
class Pretrained(Countermeasure):
    """The victim has weights before its first step."""

    freeze: bool = False
    """Whether the backbone, its batch statistics too, stays as it is."""

    @property
    def needs_weights(self) -> bool:
        """Always."""
        return True

    def begin_epoch(self, model: MultiTaskModel, progress: float = 0.0) -> None:
        """In train mode; a frozen backbone neither learns nor counts."""
        model.train()
        if self.freeze:
            model.backbone.requires_grad_(False).eval()
