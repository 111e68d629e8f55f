"""The datasets that come with the package as adapters: outlines, scenes and rooms (dense tasks)."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from schemas.imports import Skipped
from stages.adapters.adapter import Adapter, Checked, Members, Row
from stages.adapters.drawn.outlines import MAX_TASKS, draw_outlines
from stages.adapters.drawn.rooms import CONTRAST as ROOMS_CONTRAST
from stages.adapters.drawn.rooms import PALETTE, Room, render_room
from stages.adapters.drawn.scenes import CONTRAST, draw_scene
from stages.adapters.pictures import encoded
from stages.adapters.rooms.pixel_labels import dense_members


class Drawn(Adapter):
    """Two splits of so many pictures; index and seed alone decide a picture."""

    shard_samples: ClassVar[int] = 400
    workers: ClassVar[int | None] = 1

    train: int = Field(default=1, ge=1)
    """Training samples."""

    test: int = Field(default=1, ge=1)
    """Held-out samples."""

    size: int = Field(default=64, ge=16)
    """Side of a picture in pixels."""

    seed: int = Field(default=0, ge=0)
    """Decides which samples are made."""

    def check(self) -> Checked:
        """Nothing is read."""
        return Checked({}, self.train + self.test)

    def rows(self) -> Iterator[Row | Skipped]:
        """The pictures of both splits by their numbers."""
        for split, count in (("train", self.train), ("test", self.test)):
            for index in range(count):
                key = f"{split}-{index:06d}"
                yield Row(split, key, key, 0, {})

    def members(self, row: Row) -> Members:
        """The picture and its labels."""
        return self.draw(row.split, int(row.key.rpartition("-")[2]))

    @abstractmethod
    def draw(self, split: str, index: int) -> Members:
        """One picture and its labels, the same whatever else is drawn."""


class Outlines(Drawn):
    """Draw the dataset of `make run`: bodies on a dark ground, a task of ten outlines for each.

    Members of a sample: `png`, RGB; `json`, an index of `outlines.CLASSES` for each body.
    """

    name: ClassVar[str] = "outlines"

    train: int = Field(default=4000, ge=1)
    test: int = Field(default=600, ge=1)
    size: int = Field(default=32, ge=16)
    tasks: int = Field(default=2, ge=1, le=MAX_TASKS)
    """Bodies in a picture, a task of ten classes each."""

    def draw(self, split: str, index: int) -> Members:
        """Bodies on a dark ground."""
        pixels, labels = draw_outlines(index, split=split, seed=self.seed, size=self.size, tasks=self.tasks)
        return [("png", encoded(pixels, "PNG")), ("json", json.dumps(labels).encode())]


class Scenes(Drawn):
    """Draw the embedded dataset: objects in scenes, five tasks (shape, colour, texture, position, size).

    Members of a sample: `jpg`, RGB, of quality 95 without chroma subsampling; `json`, a class index for every task.
    """

    name: ClassVar[str] = "scenes"

    train: int = Field(default=2400, ge=1)
    test: int = Field(default=600, ge=1)
    contrast: float = Field(default=CONTRAST, gt=0, le=1)
    """Share of the light that is not haze, in 0..1."""

    def draw(self, split: str, index: int) -> Members:
        """An object among clutter."""
        pixels, labels = draw_scene(index, split=split, seed=self.seed, size=self.size, contrast=self.contrast)
        return [("jpg", encoded(pixels, "JPEG", quality=95, subsampling=0)), ("json", json.dumps(labels).encode())]


class Rooms(Drawn):
    """Render the embedded dense dataset: rooms, three tasks (mask, depth, normals).

    Members of a sample: `png`, RGB; `mask.png`, 8-bit palette, an index of `rooms.CLASSES` or 255; `depth.png`, 16
    bits, millimetres, 0 where there is none. `normals.npy` is float16, H×W×3 in camera axes (x to the right, y down, z
    forward), 0 where there is none.
    """

    name: ClassVar[str] = "rooms"

    train: int = Field(default=2000, ge=1)
    test: int = Field(default=400, ge=1)
    contrast: float = Field(default=ROOMS_CONTRAST, gt=0, le=1)
    """Share of the light that is not haze, in 0..1."""

    def draw(self, split: str, index: int) -> Members:
        """A room."""
        return room_members(render_room(index, split=split, seed=self.seed, size=self.size, contrast=self.contrast))


def room_members(room: Room) -> Members:
    """A room's members, (field, bytes) each, in the order stored."""
    return dense_members(room.image, room.mask, room.depth, room.normals, PALETTE)
