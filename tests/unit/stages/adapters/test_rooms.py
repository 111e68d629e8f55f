"""The dense demonstration dataset: reproducible, and labels that agree with each other and with the geometry."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ConfigError
from stages.adapters.drawn.drawn import Rooms, room_members
from stages.adapters.drawn.rooms import (
    BOX,
    CEILING,
    CLASSES,
    FLOOR,
    SPHERE,
    UNLABELLED,
    Room,
    pixel_rays,
    render_room,
    room_generator,
    room_scene,
)
from stages.io.shards.tar import read_tar
from tests.datasets import imported


def rooms(count: int, size: int = 24) -> list[Room]:
    return [render_room(index, size=size) for index in range(count)]


def test_a_room_is_the_same_whatever_was_rendered_before() -> None:
    forward = rooms(3)
    for index in reversed(range(3)):
        for found, expected in zip(render_room(index, size=24), forward[index], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("other", [{"split": "test"}, {"seed": 1}, {"index": 1}])
def test_another_split_seed_or_index_is_another_room(other: dict[str, object]) -> None:
    first, changed = render_room(0), render_room(**{"index": 0, **other})  # type: ignore[arg-type]
    assert np.abs(first.image.astype(int) - changed.image).mean() > 8
    assert np.abs(first.depth - changed.depth).mean() > 0.1


def test_the_same_room_is_rendered_at_every_size() -> None:
    for index in range(4):
        small, large = render_room(index, size=20), render_room(index, size=60)
        # The middle pixel of each 3×3 looks along the small picture's ray.
        np.testing.assert_allclose(large.depth[1::3, 1::3], small.depth, atol=0.02, rtol=0.01)
        assert (large.mask[1::3, 1::3] == small.mask).mean() > 0.99


def test_every_pixel_has_all_three_labels_or_none() -> None:
    for room in rooms(30):
        unknown = room.mask == UNLABELLED
        np.testing.assert_array_equal(room.depth == 0, unknown)
        length = np.linalg.norm(room.normals, axis=2)
        np.testing.assert_allclose(length[~unknown], 1, atol=1e-4)
        assert not length[unknown].any()
        assert room.depth[~unknown].min() > 0.2


def test_every_class_occurs_and_so_do_pixels_without_one() -> None:
    found = np.concatenate([room.mask.ravel() for room in rooms(40)])
    assert set(np.unique(found)) == {*range(len(CLASSES)), UNLABELLED}


def test_surfaces_face_the_camera() -> None:
    rays = pixel_rays(24).reshape(24, 24, 3)
    for room in rooms(10):
        facing = (rays * room.normals).sum(2)[room.mask != UNLABELLED]
        assert facing.max() < 0


def test_depths_and_normals_describe_the_same_surfaces() -> None:
    """Neighbouring points of one flat class lie in the plane that the normal says."""
    rays, checked = pixel_rays(48).reshape(48, 48, 3), 0
    for room in rooms(6, size=48):
        points = rays * room.depth[..., None]
        same = (room.mask[:, 1:] == room.mask[:, :-1]) & (
            np.abs(room.normals[:, 1:] - room.normals[:, :-1]).max(2) < 1e-5
        )
        flat = same & np.isin(room.mask[:, 1:], (FLOOR, CEILING))
        step = points[:, 1:] - points[:, :-1]
        away = np.abs((step * room.normals[:, 1:]).sum(2))[flat]
        assert away.max(initial=0) < 1e-3
        checked += int(flat.sum())
    assert checked > 1000


def test_floor_and_ceiling_look_opposite_ways_and_boxes_have_few_directions() -> None:
    for room in rooms(10, size=32):
        floor, ceiling = (room.normals[room.mask == label] for label in (FLOOR, CEILING))
        if len(floor) and len(ceiling):
            np.testing.assert_allclose(floor[0], -ceiling[0], atol=1e-4)
        spheres = room.normals[room.mask == SPHERE]
        boxes = room.normals[room.mask == BOX]
        if len(spheres) > 50 and len(boxes) > 50:
            assert len(np.unique(spheres.round(3), axis=0)) > len(np.unique(boxes.round(3), axis=0))


def test_no_body_stands_in_the_camera() -> None:
    for index in range(60):
        scene = room_scene(room_generator(index, split="train", seed=0))
        for body in scene.bodies:
            assert np.hypot(*(body.centre - scene.eye)[[0, 2]]) > np.hypot(body.halves[0], body.halves[2])


def test_members_say_what_was_rendered() -> None:
    room = next(room for room in rooms(20, size=32) if (room.mask == UNLABELLED).any())
    members = dict(room_members(room))
    assert list(members) == ["png", "mask.png", "depth.png", "normals.npy"]
    image, mask, depth = (Image.open(io.BytesIO(members[name])) for name in ("png", "mask.png", "depth.png"))
    assert (image.mode, mask.mode, depth.mode) == ("RGB", "P", "I;16")
    np.testing.assert_array_equal(np.asarray(image), room.image)
    np.testing.assert_array_equal(np.asarray(mask), room.mask)
    np.testing.assert_allclose(np.asarray(depth) / 1000, room.depth, atol=6e-4)
    normals = np.load(io.BytesIO(members["normals.npy"]), allow_pickle=False)
    np.testing.assert_allclose(normals, room.normals, atol=1e-3)


def test_an_import_writes_both_splits_and_the_same_bytes_again(tmp_path: Path) -> None:
    first, second = (imported(Rooms(train=5, test=2, size=16), tmp_path / name, samples=3) for name in ("a", "b"))
    assert {name: [shard.samples for shard in split.shards] for name, split in first.splits.items()} == {
        "test": [2],
        "train": [3, 2],
    }
    assert first == second
    (sample, *_) = read_tar(tmp_path / "a" / "test-00000.tar", "test-00000.tar")
    assert [member.field for member in sample.members] == ["png", "mask.png", "depth.png", "normals.npy"]


def test_an_argument_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="size: should be greater than or equal to 16; found 8"):
        Rooms.of(train=1, test=1, size=8)
    with pytest.raises(ConfigError, match="contrast: should be greater than 0; found 0"):
        Rooms.of(train=1, test=1, contrast=0)
