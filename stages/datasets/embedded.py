"""The datasets that come with the package, drawn here and packed into shards: outlines, scenes, rooms (dense tasks)."""

import json
from collections.abc import Callable, Iterator, Mapping

from schemas.errors import ConfigError
from schemas.records import ManifestShard
from stages.datasets.dense import dense_members
from stages.datasets.outlines import MAX_TASKS, outline_samples
from stages.datasets.packing import PackedSample, pack_shards
from stages.datasets.rooms import CONTRAST as ROOMS_CONTRAST
from stages.datasets.rooms import PALETTE, Room, render_room
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

    def draw(split: str, count: int) -> Iterator[PackedSample]:
        for key, image, labels in scene_samples(count, split=split, seed=seed, size=size, contrast=contrast):
            yield key, [("jpg", image), ("json", json.dumps(labels).encode())]

    _check_contrast(contrast)
    options = {"contrast": str(contrast)}
    return _packed(store, "scenes", draw, (train, test), size, seed, options, shard_samples, on_shard)


def import_outlines(
    store: Store,
    *,
    train: int,
    test: int,
    size: int = 32,
    seed: int = 0,
    tasks: int = 2,
    shard_samples: int = 500,
    on_shard: Callable[[ManifestShard], None] | None = None,
) -> list[ManifestShard]:
    """Draw outlines and write them as shards; arguments, result and errors are those of `import_scenes`.

    Members of a sample: `png`, RGB, size×size pixels; `json`, an index of `outlines.CLASSES` for each of the `tasks`.
    """
    if not 1 <= tasks <= MAX_TASKS:
        raise ConfigError(f"tasks must lie in 1..{MAX_TASKS}; found {tasks}")

    def draw(split: str, count: int) -> Iterator[PackedSample]:
        for key, image, labels in outline_samples(count, split=split, seed=seed, size=size, tasks=tasks):
            yield key, [("png", image), ("json", json.dumps(labels).encode())]

    options = {"tasks": tasks}
    return _packed(store, "outlines", draw, (train, test), size, seed, options, shard_samples, on_shard)


def import_rooms(
    store: Store,
    *,
    train: int,
    test: int,
    size: int = 64,
    seed: int = 0,
    contrast: float = ROOMS_CONTRAST,
    shard_samples: int = 500,
    on_shard: Callable[[ManifestShard], None] | None = None,
) -> list[ManifestShard]:
    """Render rooms and write them as shards; arguments, result and errors are those of `import_scenes`.

    Members of a sample: `png`, RGB, size×size pixels; `mask.png`, 8-bit palette, an index of `rooms.CLASSES` or 255;
    `depth.png`, 16 bit, millimetres, 0 where there is none; `normals.npy`, float16, H×W×3 in camera axes (x to the
    right, y down, z forward), 0 where there is none.
    """

    def draw(split: str, count: int) -> Iterator[PackedSample]:
        for index in range(count):
            room = render_room(index, split=split, seed=seed, size=size, contrast=contrast)
            yield f"{split}-{index:06d}", room_members(room)

    _check_contrast(contrast)
    options = {"contrast": str(contrast)}
    return _packed(store, "rooms", draw, (train, test), size, seed, options, shard_samples, on_shard)


def room_members(room: Room) -> list[tuple[str, bytes]]:
    """A room's members, (field, bytes) each, in the order stored."""
    return dense_members(room.image, room.mask, room.depth, room.normals, PALETTE)


def _check_contrast(contrast: float) -> None:
    if not 0 < contrast <= 1:
        raise ConfigError(f"contrast must lie in 0..1, above 0; found {contrast}")


def _packed(
    store: Store,
    dataset: str,
    draw: Callable[[str, int], Iterator[PackedSample]],
    counts: tuple[int, int],
    size: int,
    seed: int,
    options: Mapping[str, int | str],
    shard_samples: int,
    on_shard: Callable[[ManifestShard], None] | None,
) -> list[ManifestShard]:
    """Both splits, drawn by `draw(split, count)`, in shards; `options` are the dataset's own."""
    train, test = counts
    for name, value, least in (("train", train, 1), ("test", test, 1), ("size", size, 16), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}; found {value}")
    shards: list[ManifestShard] = []
    for split, count in (("train", train), ("test", test)):
        shards += pack_shards(
            draw(split, count),
            store,
            split,
            shard_samples=shard_samples,
            parameters={
                "dataset": dataset,
                "split": split,
                "samples": count,
                "size": size,
                "seed": seed,
                **options,
            },
            on_shard=on_shard,
        )
    return shards
