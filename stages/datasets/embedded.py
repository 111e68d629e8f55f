"""The dataset that comes with the package: scenes, drawn here and packed into shards."""

import json
from collections.abc import Callable

from schemas.errors import ConfigError
from schemas.records import ManifestShard
from stages.datasets.packing import pack_shards
from stages.datasets.scenes import CONTRAST, scene_samples
from stages.io.store.store import Store


def import_scenes(
    store: Store,
    *,
    train: int,
    test: int,
    size: int = 64,
    seed: int = 0,
    contrast: float = CONTRAST,
    shard_samples: int = 500,
    on_shard: Callable[[ManifestShard], None] | None = None,
) -> list[ManifestShard]:
    """Draw scenes and write them as `train-00000.tar` … and `test-00000.tar` …; one shard is drawn at a time.

    Members of a sample: `jpg`, RGB, size×size pixels; `json`, a class index for every task of `scenes.TASKS`. A
    complete import with the same arguments draws and writes nothing (see `pack_shards`).

    Args:
        store: where the shards go.
        train: scenes in the training split.
        test: scenes in the test split.
        size: side of a scene in pixels.
        seed: decides the scenes.
        contrast: share of the light that comes from the scene, in 0..1; the rest is haze.
        shard_samples: scenes in a shard.
        on_shard: called after each shard is in the store.

    Returns:
        The shards of both splits, in order.

    Raises:
        ConfigError: an argument is out of range, or the place holds something else.
    """
    for name, value, least in (("train", train, 1), ("test", test, 1), ("size", size, 16), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}; found {value}")
    if not 0 < contrast <= 1:
        raise ConfigError(f"contrast must lie in 0..1, above 0; found {contrast}")
    shards: list[ManifestShard] = []
    for split, count in (("train", train), ("test", test)):
        samples = (
            (key, [("jpg", image), ("json", json.dumps(labels).encode())])
            for key, image, labels in scene_samples(count, split=split, seed=seed, size=size, contrast=contrast)
        )
        shards += pack_shards(
            samples,
            store,
            split,
            shard_samples=shard_samples,
            parameters={
                "dataset": "scenes",
                "split": split,
                "samples": count,
                "size": size,
                "seed": seed,
                "contrast": str(contrast),
            },
            on_shard=on_shard,
        )
    return shards
