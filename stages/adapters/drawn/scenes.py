"""Scenes: a seeded multi-task image dataset that is drawn, not downloaded, so that a first run needs no network.

Each picture is a flat-lay photograph, in haze, of one main object among clutter: two textured surfaces, small
distractors, a stick that may cross the object. It has shadows, uneven light, white balance, blur and sensor noise. Five
tasks are labelled independently of each other: shape, colour, texture, position and size. Surfaces and clutter take
colours and patterns from the object's range, so the picture's mean says little. Everything but the sensor noise is
drawn in units of the picture's side: the same index at another size is the same scene.

Legend: H, W height and width in pixels; C red, green and blue; N vertices of an outline. A place is a complex number, x
+ iy in picture sides, x to the right and y down. Multiplication by exp(i angle) turns it.
"""

import cmath
import colorsys
import math
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.complex128]
Range = tuple[float, float]


class SceneTask(NamedTuple):
    """A classification task; class k is called `class_names[k]` and is drawn with `probabilities[k]`."""

    name: str
    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]


TASKS: tuple[SceneTask, ...] = (
    SceneTask("shape", ("disc", "square", "triangle", "star", "cross"), (0.2,) * 5),
    SceneTask("colour", ("red", "yellow", "green", "cyan", "blue", "magenta"), (0.30, 0.22, 0.16, 0.13, 0.11, 0.08)),
    SceneTask("texture", ("plain", "striped", "checked", "dotted"), (0.25,) * 4),
    SceneTask("position", ("top left", "top right", "bottom left", "bottom right"), (0.25,) * 4),
    SceneTask("size", ("small", "medium", "large"), (0.2, 0.5, 0.3)),
)

HUE_RANGES_DEGREES: tuple[Range, ...] = ((-14, 10), (46, 63), (95, 145), (172, 193), (213, 242), (288, 325))
RADIUS_RANGES = ((0.125, 0.155), (0.185, 0.225), (0.26, 0.31))  # one for each size, in picture sides
CENTRE_OFFSETS = (0.09, 0.22)  # of the object's centre from the picture's two middle lines, in picture sides
DISTRACTOR_RADII = (0.03, 0.065)  # well under the smallest object, so that the main object is never in doubt
CONTRAST = 0.35  # share of the light that comes from the scene; the rest is haze
OVERSAMPLING = 4  # of outlines, for smooth edges


def _turns(count: int) -> Places:
    """Return `count` places evenly round the unit circle."""
    return np.asarray(np.exp(2j * math.pi * np.arange(count) / count))


# One for each shape, all of about the unit disc's area, so that the shape says nothing about the size.
UNIT_OUTLINES: tuple[Places, ...] = (
    _turns(48),
    1.25 * _turns(4),
    1.5 * _turns(3),
    np.tile((1.6, 0.64), 5) * _turns(10),
    np.outer(_turns(4), (1.27 - 0.41j, 1.27 + 0.41j, 0.41 + 0.41j)).ravel(),
)


@dataclass(frozen=True)
class Layout:
    """What the main object is and where it lies."""

    labels: dict[str, int]
    centre: complex
    radius: float  # of the disc of about the object's area, in picture sides
    outline_N: Places


def scene_layout(generator: np.random.Generator) -> Layout:
    """Draw the labels and the object's place: a scene's first draws from its generator."""
    labels = {task.name: int(generator.choice(len(task.class_names), p=task.probabilities)) for task in TASKS}
    below, right = divmod(labels["position"], 2)
    offset_x, offset_y = generator.uniform(*CENTRE_OFFSETS, size=2)
    centre = complex(0.5 + (offset_x if right else -offset_x), 0.5 + (offset_y if below else -offset_y))
    radius, angle = generator.uniform(*RADIUS_RANGES[labels["size"]]), generator.uniform(0, 2 * math.pi)
    return Layout(labels, centre, radius, _moved(UNIT_OUTLINES[labels["shape"]], centre, radius, angle))


def scene_generator(index: int, *, split: str, seed: int) -> np.random.Generator:
    """Return the random generator that alone decides what is in a scene; index and seed are not negative."""
    return np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(split.encode()), index)))


def draw_scene(
    index: int, *, split: str = "train", seed: int = 0, size: int = 64, contrast: float = CONTRAST
) -> tuple[Pixels, dict[str, int]]:
    """Draw one scene, the same whatever else is drawn.

    Evidence of high contrast outweighs a perturbation of a few levels. With `contrast` 1 a model learns the tasks from
    large bright areas before it learns a shortcut. Evidence as fine as in photographs of faces or tissue needs haze
    here.

    Returns the picture, (size, size, 3) uint8 sRGB in 0..255, and a class index for every task in `TASKS`.
    """
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, found {size}")
    generator = scene_generator(index, split=split, seed=seed)
    layout = scene_layout(generator)
    colour = _colour(generator, HUE_RANGES_DEGREES[layout.labels["colour"]], rest=(0.5, 1.0))
    toward_light, relief = generator.uniform(0, 2 * math.pi), generator.uniform(0.3, 0.6)

    image_HWC = _background(generator, size, colour)
    for shape in generator.integers(len(UNIT_OUTLINES), size=generator.integers(1, 5)):
        centre = complex(generator.uniform(), generator.uniform())
        radius, angle = generator.uniform(*DISTRACTOR_RADII), generator.uniform(0, 2 * math.pi)
        outline_N = _moved(UNIT_OUTLINES[shape], centre, radius, angle)
        _lay(image_HWC, outline_N, _colour(generator), toward_light, relief=0.2)
    period = 0.9 * layout.radius
    weight_HW1 = _pattern(generator, layout.labels["texture"], size, layout.centre, (0.75 * period, period))
    tone_HWC = colour + weight_HW1 * (_second_tone(generator, colour) - colour)
    _lay(image_HWC, layout.outline_N, tone_HWC, toward_light, relief)
    if generator.random() < 0.5:
        _lay(image_HWC, _stick(generator, layout), _colour(generator), toward_light, relief=0.3)
    return _photograph(generator, image_HWC, toward_light, contrast), layout.labels


def coverage(outline_N: Places, size: int) -> Image.Image:
    """Return how much of each pixel the outline covers, 0..255: a greyscale image of `size` pixels a side."""
    mask = Image.new("L", (size * OVERSAMPLING, size * OVERSAMPLING))
    ImageDraw.Draw(mask).polygon((outline_N * (size * OVERSAMPLING)).view(np.float64).tolist(), fill=255)
    return mask.reduce(OVERSAMPLING)


def _moved(outline_N: Places, centre: complex, scale: float, angle: float) -> Places:
    return centre + scale * cmath.exp(1j * angle) * outline_N


def _stick(generator: np.random.Generator, layout: Layout) -> Places:
    """Return the outline of a thin stick, (4,), that hides a strip of the main object, off its centre."""
    length, width, off = generator.uniform((0.4, 0.02, 0.4 * layout.radius), (1.4, 0.044, layout.radius))
    strip_4 = np.array((-length / 2, length / 2, length / 2 + 1j * width, -length / 2 + 1j * width)) + 1j * off
    return _moved(strip_4, layout.centre, 1.0, generator.uniform(0, 2 * math.pi))


def _colour(generator: np.random.Generator, hues: Range = (0, 360), rest: Range = (0.2, 1.0)) -> Floats:
    """Return a colour, (3,) in 0..1, of a hue in `hues` degrees, a saturation and a brightness in `rest`."""
    hue, saturation, brightness = generator.uniform(*hues), generator.uniform(*rest), generator.uniform(*rest)
    return np.array(colorsys.hsv_to_rgb(hue / 360 % 1, saturation, 0.2 + 0.8 * brightness), np.float32)


def _second_tone(generator: np.random.Generator, colour: Floats) -> Floats:
    """Return a pattern's other tone of the same hue: a dark one for bright colours, a pale one for dark colours."""
    if colour.max() > 0.78:
        return colour * generator.uniform(0.35, 0.55)
    return colour + (1 - colour) * generator.uniform(0.5, 0.75)


def _along(size: int, angle: float, origin: complex = 0.5 + 0.5j) -> Floats:
    """Return each pixel's distance from `origin` in the direction `angle`: (H, W, 1), in picture sides."""
    axis = (np.arange(size) + 0.5) / size
    distance_HW = (axis[None, :] - origin.real) * math.cos(angle) + (axis[:, None] - origin.imag) * math.sin(angle)
    return distance_HW[..., None].astype(np.float32)


def _pattern(generator: np.random.Generator, kind: int, size: int, centre: complex, periods: Range) -> Floats:
    """Return a texture of class `kind` and a period in `periods`: (H, W, 1), each pixel's share of the second tone."""
    wave_number, angle = 2 * math.pi / generator.uniform(*periods), generator.uniform(0, math.pi)
    if kind == 0:
        return np.zeros((size, size, 1), np.float32)
    u_HW1 = wave_number * _along(size, angle, centre)
    v_HW1 = wave_number * _along(size, angle + math.pi / 2, centre)
    fields_HW1 = (np.sin(u_HW1), np.sin(u_HW1) * np.sin(v_HW1), np.cos(u_HW1) + np.cos(v_HW1) - 0.55)
    edge = size / wave_number  # makes the tone change within one pixel
    return np.asarray(np.clip(fields_HW1[kind - 1] * edge + 0.5, 0, 1))


def _mottle(generator: np.random.Generator, size: int) -> Floats:
    """Return fractal noise, (H, W, 1), of mean about 0 and deviation about 1: the same landscape at every size."""
    total_HW = np.zeros((size, size), np.float32)
    for cells, weight in ((3, 0.75), (7, 0.45), (16, 0.35), (40, 0.3)):
        lattice = Image.fromarray(generator.standard_normal((cells, cells), np.float32))
        total_HW += weight * np.asarray(lattice.resize((size, size), Image.Resampling.BICUBIC))
    return total_HW[..., None]


def _surface(generator: np.random.Generator, size: int, object_colour: Floats) -> Floats:
    """Return a cloth or board that the object stands out from and that fills the picture: (H, W, 3), 0..1."""
    for _ in range(16):
        tone = _colour(generator)
        if np.abs(tone - object_colour).max() > 0.35:
            break
    weight_HW1 = _pattern(generator, int(generator.integers(4)), size, 0j, (0.08, 0.22))
    return tone + weight_HW1 * generator.uniform(0.15, 0.6) * (_second_tone(generator, tone) - tone)


def _background(generator: np.random.Generator, size: int, object_colour: Floats) -> Floats:
    """Return two surfaces, one laid over the other along a slanted line, and their stains: (H, W, 3)."""
    lower_HWC, upper_HWC = _surface(generator, size, object_colour), _surface(generator, size, object_colour)
    distance_HW1 = _along(size, generator.uniform(0, 2 * math.pi)) - generator.uniform(-0.35, 0.35)
    lower_HWC *= 1 - 0.5 * np.exp(np.minimum(distance_HW1, 0) / 0.03)  # the upper one's shadow
    layers_HWC = lower_HWC + np.clip(distance_HW1 * size + 0.5, 0, 1) * (upper_HWC - lower_HWC)
    return np.asarray(layers_HWC * (1 + generator.uniform(0.05, 0.16) * _mottle(generator, size)))


def _lay(image_HWC: Floats, outline_N: Places, tone: Floats, toward_light: float, relief: float) -> None:
    """Lay a body of tone (3,) or (H, W, 3) into the picture, in place: cast shadow, surface, rims lit and shaded."""
    size = image_HWC.shape[0]
    rim, reach = max(0.014 * size, 0.7), 0.085 * relief * size  # in pixels
    cover = coverage(outline_N, size)
    soft = cover.filter(ImageFilter.GaussianBlur(rim))
    light_x, light_y = math.cos(toward_light), math.sin(toward_light)
    moved = (1, 0, reach * light_x, 0, 1, reach * light_y)
    shadow = soft.transform(soft.size, Image.Transform.AFFINE, moved, Image.Resampling.BILINEAR)
    cover_HW1, soft_HW1, shadow_HW1 = (np.asarray(m, np.float32)[..., None] / 255 for m in (cover, soft, shadow))
    image_HWC *= 1 - 0.6 * shadow_HW1
    slope_y_HW1, slope_x_HW1 = np.gradient(soft_HW1, axis=(0, 1))
    lit_HWC = tone * (1 - 2 * relief * rim * (slope_x_HW1 * light_x + slope_y_HW1 * light_y))
    image_HWC += cover_HW1 * (lit_HWC - image_HWC)


def _photograph(generator: np.random.Generator, image_HWC: Floats, toward_light: float, contrast: float) -> Pixels:
    """Take the picture: uneven light, white balance, haze, blur and sensor noise; (H, W, 3) uint8."""
    size = image_HWC.shape[0]
    light_HW1 = generator.uniform(0.75, 1.1) + generator.uniform(0.1, 0.7) * _along(size, toward_light)
    seen_HWC = np.clip(image_HWC * light_HW1 * generator.uniform(0.88, 1.12, 3), 0, 1)
    exposed_HWC = np.clip(generator.uniform(0.42, 0.55) + generator.uniform(0.7, 1.05) * (seen_HWC - 0.5), 0, 1)
    picture = Image.fromarray((exposed_HWC * 255).astype(np.uint8))
    focused_HWC = np.asarray(picture.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.009) * size)), np.float32)
    haze_3 = generator.uniform(90, 165) + generator.uniform(-8, 8, 3)
    hazy_HWC = haze_3 + contrast * (focused_HWC - haze_3)
    noise_HWC = generator.standard_normal(focused_HWC.shape, np.float32) * generator.uniform(1, 3)
    return np.clip(np.rint(hazy_HWC + noise_HWC), 0, 255).astype(np.uint8)
