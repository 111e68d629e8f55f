"""Whether the networks that a configuration asks for work at its resolutions; asked before anything is trained."""

from __future__ import annotations

from pipeline.configuration.plans import victims_of
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.training import Pretrained
from stages.models.backbones.pretrained import load_pretrained
from stages.models.backbones.registry import BACKBONES, check_backbone


def check_networks(config: Config) -> None:
    """Refuse a surrogate or victim that cannot work at the resolution that it is to see, and weights that do not fit.

    Raises:
        ConfigError: names the key, the network, the resolution and the nearest that works; or the file of the weights.
    """
    wanted = {"train.backbones": (config.train.surrogates, config.train.resolution)}
    if config.audit is not None:
        resolution = config.audit.resolution or config.train.resolution
        wanted["audit.victims"] = (victims_of(config, config.audit), resolution)
    for key, (names, resolution) in wanted.items():
        for name in names:
            try:
                check_backbone(name, resolution)
            except ConfigError as error:
                raise ConfigError(f"{key}: {error.message}") from None
    if config.audit is not None and config.audit.pretrained is not None:
        _check_pretrained(config.audit.pretrained, config.audit.resolution or config.train.resolution)


def _check_pretrained(pretrained: Pretrained, resolution: int) -> None:
    """Load the weights once."""
    try:
        backbone = BACKBONES[pretrained.backbone](width=pretrained.width, resolution=resolution)
        load_pretrained(backbone, pretrained.weights)
    except ConfigError as error:
        raise ConfigError(
            f"audit.pretrained, at width {pretrained.width} and {resolution} px: {error.message}"
        ) from None
