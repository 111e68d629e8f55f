"""Every backbone by its name in the configuration."""

from __future__ import annotations

from stages.models.backbones.resnet import ResNet18

BACKBONES = {"resnet18": ResNet18}
