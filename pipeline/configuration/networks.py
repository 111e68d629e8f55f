"""Whether the networks that a configuration asks for work at its resolutions; asked before anything is trained."""

from __future__ import annotations

from pipeline.configuration.plans import victims_of
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.training import Pretrained
from stages.networks.backbones.architectures import BACKBONES, check_backbone
from stages.networks.backbones.pretrained import load_pretrained


def check_networks(config: Config) -> None:
    """Refuse a surrogate or victim that cannot work at the resolution that it is to see, and weights that do not fit.

    Raises:
        ConfigError: names the key, the network, the resolution and the nearest that works; or the file of the weights.
    """
    train = config.train
    wanted = {"train.backbones": (train.surrogates, round(train.resolution * min(train.surrogate_sizes)))}
    if config.audit is not None:
        resolution = config.audit.resolution or config.train.resolution
        wanted["audit.victims"] = (victims_of(config, config.audit), resolution)
    for key, (names, resolution) in wanted.items():
        for name in names:
            try:
                check_backbone(name, resolution)
            except ConfigError as error:
                raise ConfigError(f"{key}: {error.message}") from None
    audit = config.audit
    for backbone, weights in train.weights.items():
        given = Pretrained(backbone=backbone, weights=weights, width=train.width)
        _check_pretrained(f"train.weights.{backbone}", given, train.resolution)
    if audit is not None and audit.pretrained is not None:
        _check_pretrained("audit.pretrained", audit.pretrained, audit.resolution or train.resolution)


def _check_pretrained(key: str, given: Pretrained, resolution: int) -> None:
    """Load the weights once."""
    try:
        load_pretrained(BACKBONES[given.backbone](width=given.width, resolution=resolution), given.weights)
    except ConfigError as error:
        raise ConfigError(f"{key}, at width {given.width} and {resolution} px: {error.message}") from None
