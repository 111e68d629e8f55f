"""What ends a run before any training, and what `plan` refuses as well: the one list of such checks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from pipeline.configuration.plans import victims_of
from pipeline.run.ingest import check_profiles, refuse_one_label
from pipeline.run.train import refuse_lost_work
from pipeline.state.ledger import Ledger
from pipeline.state.owner import refuse_foreign
from pipeline.state.places import Places
from pipeline.state.written import Strangers, refuse_strangers
from schemas.config import Config
from schemas.errors import ConfigError, InputError, RefusedInputError
from schemas.records import ShardFailure, ShardProfile
from schemas.training import Pretrained
from stages.io.store.objects import Entry
from stages.networks.backbones.architectures import BACKBONES, check_backbone
from stages.networks.backbones.pretrained import load_pretrained
from stages.publish.manifest import MANIFEST, read_manifest


def refuse_places(
    places: Places, ledger: Ledger, published: Sequence[Entry], *, retrain: bool = False, take_over: bool = False
) -> Strangers:
    """What may not lie in `output` and `work`, known from listings alone.

    Args:
        places: of the configuration.
        ledger: what this `work` has published.
        published: the listing of `output`.
        retrain: another perturber is to protect every shard again.
        take_over: what another `work` has published becomes this one's.

    Returns:
        What of `output` is not of this `work` and may stay.
    """
    if not retrain:
        refuse_lost_work(places)
    if not take_over:
        refuse_foreign(places)
    return refuse_strangers(places, ledger, published, take_over=take_over)


def check_data(
    config: Config,
    places: Places,
    ledger: Ledger,
    profiles: Sequence[ShardProfile],
    failures: Sequence[ShardFailure],
    *,
    shards: int,
    whole: bool = True,
) -> None:
    """What the shards that were read may not be.

    Args:
        config: tasks and limits.
        places: the dataset.
        ledger: what was published.
        profiles: of the shards that were read.
        failures: of those that could not be read.
        shards: how many these are together.
        whole: whether the dataset has no others; what only all labels show is checked then.
    """
    _refuse_protected(places, ledger, profiles)
    check_profiles(config, profiles, failures, shards)
    if whole:
        refuse_one_label(config, profiles)


def _refuse_protected(places: Places, ledger: Ledger, profiles: Sequence[ShardProfile]) -> None:
    """Noise upon noise would break the bound: what mtlue has published is no input.

    It is known by its checksum, from this ledger or from the manifest that a published prefix holds.
    """
    published = {record.sha256 for record in ledger.records()}
    for folder in sorted({profile.name.rpartition("/")[0] for profile in profiles}):
        with suppress(InputError):  # no manifest, or one of another tool
            manifest = read_manifest(places.source, f"{folder}/{MANIFEST}".lstrip("/"))
            published.update(shard.sha256 for shard in manifest.shards)
    for profile in profiles:
        if profile.sha256 in published:
            raise RefusedInputError(
                f"shard {profile.name}: these bytes are a protected shard that mtlue published; point "
                "dataset.shards at the raw data"
            )


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
