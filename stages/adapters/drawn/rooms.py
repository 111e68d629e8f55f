"""Rooms: a seeded dense dataset that is rendered, not downloaded: exact masks, depths and normals of every pixel.

Each picture is a view into a room under one lamp: floor, walls and ceiling, boxes and spheres on the floor, shadows and
patterns. At times it has a dark window, without class, depth and normal, as with real depth cameras. The camera stands
anywhere, turned, tilted and rolled, so that a pixel's place in the picture says little. One ray a pixel gives the
labels, four give its colour. All but the sensor noise is drawn in units of the scene: the same index at another size is
the same room.

Legend: P rays; H, W pixels. Camera axes: x to the right, y down, z forward; world axes: y up, the floor at 0. Lengths
in metres. A ray is p + t·d with d's z along the camera's axis equal to 1, so that t is the depth.
"""

from __future__ import annotations

import colorsys
import math
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from stages.adapters.drawn.bodies import Body, Floats, Surface, turned

Range = tuple[float, float]

CLASSES = ("floor", "wall", "ceiling", "box", "sphere")
FLOOR, WALL, CEILING, BOX, SPHERE = range(len(CLASSES))
UNLABELLED = 255
"""In a mask: the window."""
COLOURS = ((150, 100, 50), (200, 200, 160), (240, 240, 250), (220, 60, 60), (60, 90, 220))
PALETTE = [value for colour in (*COLOURS, *((0, 0, 0),) * (256 - len(COLOURS))) for value in colour]
"""Of a mask's file. All 256 colours: with fewer, Pillow packs the indices into fewer bits and cuts `UNLABELLED`."""
CONTRAST = 0.6
"""Share of the light that comes from the room; the rest is haze (see `scenes.CONTRAST`)."""
OVERSAMPLING = 2
"""Rays along a pixel's side, for its colour."""

FIELD_OF_VIEW_DEGREES = 74
SATURATIONS: tuple[Range, ...] = ((0.1, 0.6), (0.05, 0.5), (0.0, 0.2), (0.3, 0.9), (0.3, 0.9))
BRIGHTNESSES: tuple[Range, ...] = ((0.2, 0.7), (0.35, 0.95), (0.7, 1.0), (0.25, 1.0), (0.25, 1.0))
"""Of each class's surfaces."""


class Room(NamedTuple):
    """A picture with its labels."""

    image: npt.NDArray[np.uint8]
    """H×W×3, sRGB."""
    mask: npt.NDArray[np.uint8]
    """H×W, indices of `CLASSES`, or `UNLABELLED`."""
    depth: Floats
    """H×W, metres along the camera's axis; 0 where there is none."""
    normals: Floats
    """H×W×3, of length 1, in camera axes, toward the camera; 0 where there is none."""


@dataclass(frozen=True)
class Scene:
    """A room, what stands in it, and who looks at it."""

    sides: Floats
    """(3,): width, height and depth of the room; a corner lies at 0."""
    surfaces: tuple[Surface, ...]
    """Of the six sides, two an axis: x = 0, x = width, floor, ceiling, z = 0, z = depth."""
    bodies: tuple[Body, ...]
    window: tuple[int, float, float, float, float] | None
    """Side (0, 1, 4 or 5) and from, to along it and from, to above the floor."""
    lamp: Floats
    eye: Floats
    axes: Floats
    """(3, 3): the camera's axes as columns, in world axes."""


def room_scene(generator: np.random.Generator) -> Scene:
    """Draw what is in a room."""
    sides = generator.uniform((3.4, 2.5, 3.4), (6.2, 2.9, 6.2)).astype(np.float32)
    wall, other = _surface(generator, WALL), _surface(generator, WALL)
    surfaces = (wall, wall, _surface(generator, FLOOR), _surface(generator, CEILING), other, wall)
    margins = np.array((0.5, 0, 0.5), np.float32)
    eye = generator.uniform(margins, sides - margins).astype(np.float32)
    eye[1] = generator.uniform(1.1, 1.7)
    middle = sides / 2 + generator.uniform(-1, 1, 3) * (1.0, 0, 1.0)
    yaw = math.atan2(middle[0] - eye[0], middle[2] - eye[2]) + generator.uniform(-0.4, 0.4)
    pitch, roll = generator.uniform(-0.5, 0.4), generator.uniform(-0.35, 0.35)
    bodies = tuple(_body(generator, eye, sides, yaw) for _ in range(generator.integers(3, 8)))
    lamp = (sides * generator.uniform((0.2, 0.75, 0.2), (0.8, 0.95, 0.8))).astype(np.float32)
    axes = _camera_axes(yaw, pitch, roll)
    window = None
    if generator.random() < 0.5:
        side = _faced(axes)
        long = float(sides[2] if side < 2 else sides[0])
        start, low = generator.uniform(0.1, 0.5) * long, generator.uniform(0.6, 1.1)
        window = (side, start, start + generator.uniform(0.8, 1.6), low, low + generator.uniform(0.7, 1.2))
    return Scene(sides, surfaces, bodies, window, lamp, eye, axes)


def _faced(axes: Floats) -> int:
    """The wall that the camera looks at most: 0, 1, 4 or 5."""
    right, forward = axes[0, 2], axes[2, 2]
    return int(right > 0) if abs(right) > abs(forward) else 4 + int(forward > 0)


def room_generator(index: int, *, split: str, seed: int) -> np.random.Generator:
    """The random generator that alone decides what is in a room; index and seed are not negative."""
    return np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(b"rooms " + split.encode()), index)))


def render_room(index: int, *, split: str = "train", seed: int = 0, size: int = 64, contrast: float = CONTRAST) -> Room:
    """Render one room, the same whatever else is rendered; `size`×`size` pixels.

    Raises:
        ValueError: `size` is below 16.
    """
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, found {size}")
    generator = room_generator(index, split=split, seed=seed)
    scene = room_scene(generator)
    label_P, depth_P, normals_P3, _ = _seen(scene, pixel_rays(size))
    image = _photograph(generator, _seen(scene, pixel_rays(size * OVERSAMPLING))[3], size, contrast)
    unknown_P = label_P == UNLABELLED
    normals_P3 = np.where(unknown_P[:, None], 0, normals_P3 @ scene.axes).astype(np.float32)
    return Room(
        image,
        label_P.reshape(size, size),
        np.where(unknown_P, 0, depth_P).astype(np.float32).reshape(size, size),
        normals_P3.reshape(size, size, 3),
    )


def _surface(generator: np.random.Generator, label: int) -> Surface:
    hue = generator.uniform()
    colours = []
    for _ in range(2):
        saturation, brightness = generator.uniform(*SATURATIONS[label]), generator.uniform(*BRIGHTNESSES[label])
        colours.append(colorsys.hsv_to_rgb((hue + generator.uniform(-0.06, 0.06)) % 1, saturation, brightness))
    pattern = 0 if label == CEILING else int(generator.integers(4))
    return Surface(
        np.array(colours, np.float32), pattern, float(generator.uniform(6, 22)), float(generator.uniform(0, math.pi))
    )


def _body(generator: np.random.Generator, eye: Floats, sides: Floats, yaw: float) -> Body:
    """A box or a sphere on the floor, before the camera, not upon it."""
    label = BOX if generator.random() < 0.55 else SPHERE
    if label == BOX:
        halves = generator.uniform((0.15, 0.15, 0.15), (0.55, 0.7, 0.55))
    else:
        halves = np.full(3, generator.uniform(0.18, 0.6))
    distance, aside = generator.uniform(1.4, 4.2), generator.uniform(-0.6, 0.6)
    reach = float(np.hypot(halves[0], halves[2]))
    place = np.array((eye[0] + distance * math.sin(yaw + aside), 0, eye[2] + distance * math.cos(yaw + aside)))
    place = np.clip(place, reach, sides - reach)
    away = place - eye
    gap = float(np.hypot(away[0], away[2]))
    if gap < reach + 0.5:  # pushed out of the camera, if need be through the wall
        place = eye + away * (reach + 0.5) / max(gap, 1e-3)
    place[1] = halves[1] + (generator.uniform(0, 0.8) if label == SPHERE and generator.random() < 0.4 else 0)
    turn = float(generator.uniform(0, math.pi))
    return Body(
        label, label == SPHERE, place.astype(np.float32), halves.astype(np.float32), turn, _surface(generator, label)
    )


def _camera_axes(yaw: float, pitch: float, roll: float) -> Floats:
    forward = np.array((math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)))
    right = np.array((math.cos(yaw), 0, -math.sin(yaw)))
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward], axis=1).astype(np.float32)


def pixel_rays(size: int) -> Floats:
    """Directions in camera axes of the pixels' centres, row by row: (size², 3), z = 1."""
    reach = math.tan(math.radians(FIELD_OF_VIEW_DEGREES / 2))
    axis = ((np.arange(size) + 0.5) / size * 2 - 1) * reach
    x_HW, y_HW = np.meshgrid(axis, axis)
    return np.stack([x_HW.ravel(), y_HW.ravel(), np.ones(size * size)], axis=1).astype(np.float32)


def _seen(scene: Scene, rays_P3: Floats) -> tuple[npt.NDArray[np.uint8], Floats, Floats, Floats]:
    """Class, depth, normal in world axes and colour of what each ray meets: P, P, P×3, P×3."""
    d_P3 = rays_P3 @ scene.axes.T
    p_P3 = np.broadcast_to(scene.eye, d_P3.shape)
    label_P, t_P, normals_P3, shades_P3 = _sides_seen(scene, p_P3, d_P3)
    for body in scene.bodies:
        near_P, faces_P3 = body.met(p_P3, d_P3)
        rows_P = np.flatnonzero(near_P < t_P)
        if not len(rows_P):
            continue
        t_P[rows_P], label_P[rows_P], normals_P3[rows_P] = near_P[rows_P], body.label, faces_P3[rows_P]
        place_P3 = (p_P3[rows_P] + near_P[rows_P, None] * d_P3[rows_P] - body.centre) @ turned(body.turn)
        shades_P3[rows_P] = body.surface.shades(place_P3[:, 0] + place_P3[:, 2], place_P3[:, 1])
    hits_P3 = p_P3 + t_P[:, None] * d_P3
    return label_P, t_P, normals_P3, shades_P3 * _light(scene, hits_P3, normals_P3)[:, None]


def _sides_seen(scene: Scene, p_P3: Floats, d_P3: Floats) -> tuple[npt.NDArray[np.uint8], Floats, Floats, Floats]:
    """The same of the empty room, which every ray meets; unlit."""
    d_P3 = np.where(np.abs(d_P3) < 1e-6, 1e-6, d_P3)
    far_P3 = d_P3 > 0
    t_P3 = (np.where(far_P3, scene.sides, 0) - p_P3) / d_P3
    axis_P, rows_P = t_P3.argmin(1), np.arange(len(d_P3))
    t_P = t_P3[rows_P, axis_P].astype(np.float32)
    side_P = 2 * axis_P + far_P3[rows_P, axis_P]
    normals_P3 = np.zeros(d_P3.shape, np.float32)
    normals_P3[rows_P, axis_P] = -np.sign(d_P3[rows_P, axis_P])
    hits_P3 = p_P3 + t_P[:, None] * d_P3
    label_P = np.array((WALL, WALL, FLOOR, CEILING, WALL, WALL), np.uint8)[side_P]
    shades_P3 = np.empty(d_P3.shape, np.float32)
    for side, surface in enumerate(scene.surfaces):
        here = side_P == side
        u, v = (axis for axis in range(3) if axis != side // 2)
        shades_P3[here] = surface.shades(hits_P3[here, u], hits_P3[here, v])
    if scene.window is not None:
        side, left, right, low, high = scene.window
        along_P, above_P = hits_P3[:, 2 if side < 2 else 0], hits_P3[:, 1]
        pane_P = (side_P == side) & (along_P > left) & (along_P < right) & (above_P > low) & (above_P < high)
        label_P[pane_P], shades_P3[pane_P] = UNLABELLED, (0.05, 0.07, 0.12)
    return label_P, t_P, normals_P3, shades_P3


def _light(scene: Scene, hits_P3: Floats, normals_P3: Floats) -> Floats:
    """P: light on each place, 0..1.3: some from everywhere, the rest from the lamp unless a body hides it."""
    way_P3 = scene.lamp - hits_P3
    distance_P = np.sqrt((way_P3 * way_P3).sum(1))
    facing_P = np.maximum((way_P3 * normals_P3).sum(1) / distance_P, 0)
    lit_P = np.ones(len(hits_P3), np.float32)
    start_P3 = hits_P3 + 1e-3 * normals_P3
    for body in scene.bodies:
        lit_P[body.met(start_P3, way_P3)[0] < 1] = 0.25
    # Light from everywhere is weaker from below, so that surfaces without lamp light still differ by their direction.
    sky_P = 0.34 + 0.1 * normals_P3[:, 1] + 0.06 * normals_P3[:, 0]
    return np.asarray(sky_P + 0.85 * lit_P * facing_P / (1 + 0.06 * distance_P**2), np.float32)


def _photograph(generator: np.random.Generator, shades_P3: Floats, size: int, contrast: float) -> npt.NDArray[np.uint8]:
    """Take the picture: fewer pixels, white balance, haze, blur and sensor noise; H×W×3."""
    fine_HWC = shades_P3.reshape(size, OVERSAMPLING, size, OVERSAMPLING, 3)
    seen_HWC = np.clip(
        fine_HWC.mean(axis=(1, 3)) * generator.uniform(0.85, 1.15) * generator.uniform(0.93, 1.07, 3), 0, 1
    )
    picture = Image.fromarray((seen_HWC ** (1 / 1.6) * 255).astype(np.uint8))
    focused_HWC = np.asarray(picture.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.007) * size)), np.float32)
    haze_3 = generator.uniform(100, 150) + generator.uniform(-8, 8, 3)
    hazy_HWC = haze_3 + contrast * (focused_HWC - haze_3)
    noise_HWC = generator.standard_normal(hazy_HWC.shape, np.float32) * generator.uniform(1, 2.5)
    return np.clip(np.rint(hazy_HWC + noise_HWC), 0, 255).astype(np.uint8)
