"""Whether the networks that a configuration asks for work at its resolutions; asked before anything is trained."""

from __future__ import annotations

from pipeline.configuration.plans import victims_of
from schemas.config import Config
from schemas.errors import ConfigError
from stages.models.backbones.registry import check_backbone


def check_networks(config: Config) -> None:
    """Refuse a surrogate or victim that cannot work at the resolution that it is to see.

    Raises:
        ConfigError: names the key, the network, the resolution and the nearest that works.
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
