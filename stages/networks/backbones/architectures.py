"""Every backbone by its name in the configuration."""

from __future__ import annotations

from schemas.errors import ConfigError
from stages.networks.backbones.backbone import Backbone
from stages.networks.backbones.densenet import DenseNet121
from stages.networks.backbones.resnet import DilatedResNet50, ResNet18, ResNet50
from stages.networks.backbones.small import Plain, Stride5
from stages.networks.backbones.unet import UNet
from stages.networks.backbones.vgg import VGG16
from stages.networks.backbones.vit import ViTB16

BACKBONES: dict[str, type[Backbone]] = {
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "vgg16": VGG16,
    "densenet121": DenseNet121,
    "vit_b_16": ViTB16,
    "stride5": Stride5,
    "plain": Plain,
    "dilated_resnet50": DilatedResNet50,
    "unet": UNet,
}


def check_backbone(name: str, resolution: int) -> None:
    """Refuse a backbone that cannot work at a resolution, before anything is built or trained.

    Args:
        name: in `BACKBONES`.
        resolution: side of the images in pixels.

    Raises:
        ConfigError: the name is unknown, or the network is too deep for the resolution.
    """
    if name not in BACKBONES:
        raise ConfigError(f"there is no backbone {name!r}; choose from {', '.join(BACKBONES)}")
    BACKBONES[name].check_resolution(resolution)
