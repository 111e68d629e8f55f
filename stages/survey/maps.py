"""Members with a value for each pixel: masks, depths and normals, recognised by their values.

Shapes: H×W values, H×W×3 or 3×H×W directions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.errors import SampleError
from stages.io.images.decoding import decode_map
from stages.survey.tasks import Suggestion

MAX_PIXELS = 64 * 2**20
LOOKED_AT = 16
"""Members that are decoded at most."""

NONE = 255
"""What masks usually hold where there is no class."""

MILLIMETRES = 0.001


@dataclass
class Maps:
    """What one member of the samples holds, as far as it was decoded."""

    name: str
    count: int = 0
    forms: set[str] = field(default_factory=set)
    """`whole` (H×W integers), `real` (H×W floats), `directions` (unit vectors), `colours`, `other`."""
    values: set[int] = field(default_factory=set)
    """Of whole maps, those up to 255."""
    high: float = 0.0
    low: float = 0.0
    wide: bool = False
    """Whether a whole map has values above 255."""
    own_size: bool = True
    """Whether each is as large as its image."""

    def add(self, data: bytes, size: tuple[int, int] | None) -> None:
        """Look at one member; `size` is its image's H and W."""
        self.count += 1
        if self.count > LOOKED_AT:
            return
        try:
            array = _array(data)
        except (SampleError, ValueError, EOFError, OSError):
            self.forms.add("other")
            return
        self.forms.add(_form(array))
        height_width = array.shape[1:] if array.ndim == 3 and array.shape[0] == 3 else array.shape[:2]
        self.own_size &= size is None or tuple(height_width) == tuple(size)
        known = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if known.size:
            self.low, self.high = min(self.low, float(known.min())), max(self.high, float(known.max()))
        if _form(array) == "whole":
            found = np.unique(array)
            self.wide |= bool(found[-1] > NONE)
            self.values |= {int(value) for value in found if 0 <= value <= NONE}

    def suggestion(self, names: list[str] | None = None) -> Suggestion:
        """The task that fits, or why there is none; `names` are those of the classes, where they are known."""
        if not self.own_size:
            return Suggestion(self.name, None, "maps that are not as large as their images")
        if self.forms == {"directions"}:
            return Suggestion(self.name, {"kind": "normals", "field": self.name}, "unit vectors: surface normals")
        if self.forms == {"real"} and self.low >= 0 and self.high > 0:
            return self._depth(1.0, "real numbers")
        if self.forms == {"whole"} and names is not None:
            task = {"kind": "segmentation", "field": self.name, "classes": names}
            return Suggestion(self.name, task, f"masks of {len(names)} classes")
        if self.forms == {"whole"}:
            classes = sorted(self.values - {NONE})
            # Depths in millimetres and masks are both whole numbers; no mask has classes beyond 254.
            return self._depth(MILLIMETRES, "16 bits") if self.wide else self._mask(classes)
        return Suggestion(self.name, None, "an image or data whose meaning is not clear")

    def _mask(self, classes: list[int]) -> Suggestion:
        if len(classes) < 2 and not (classes and NONE in self.values):
            return Suggestion(self.name, None, f"a mask with the values {classes} alone")
        task = {"kind": "segmentation", "field": self.name, "classes": max(2, classes[-1] + 1)}
        doubts = ["classes without names: write a list of names instead of the number, in the order of the numbers"]
        if classes == [0] and NONE in self.values:
            doubts.append("the masks have 0 and 255 alone: 255 means no class here; write 1 there, if it is one")
        return Suggestion(self.name, task, f"masks with the values {_few(classes)}", doubts)

    def _depth(self, scale: float, seen: str) -> Suggestion:
        high = max(scale, float(np.ceil(self.high * scale * 1.2)))
        task: dict[str, Any] = {"kind": "depth", "field": self.name, "high": min(high, 60_000.0), "unit": "m"}
        doubts = [f"`high` is the largest depth that counts; the largest seen is {self.high * scale:g}"]
        if scale != 1:
            task["scale"] = scale
            doubts.append("taken for millimetres; correct `scale` and `unit` if they are something else")
        return Suggestion(self.name, task, f"{seen} up to {self.high:g}: depths", doubts)


def is_map(field: str, data: bytes) -> bool:
    """Whether a member may have a value for each pixel: an npy array of more than one axis, or a PNG `x.png`."""
    if data.startswith(b"\x93NUMPY"):
        try:
            return bool(_array(data).ndim > 1)
        except (ValueError, EOFError, OSError):
            return False
    return data.startswith(b"\x89PNG") and "." in field


def _array(data: bytes) -> np.ndarray:
    if data.startswith(b"\x93NUMPY"):
        import io

        loaded: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
        return loaded
    return decode_map(data, max_pixels=MAX_PIXELS)


def _form(array: np.ndarray) -> str:
    if array.ndim == 3 and 3 in (array.shape[0], array.shape[2]):
        vectors = array if array.shape[2] == 3 else array.transpose(1, 2, 0)
        if array.dtype.kind != "f":
            vectors = vectors.astype(np.float32) / 127.5 - 1
        lengths = np.linalg.norm(np.nan_to_num(vectors.astype(np.float32)), axis=2)
        known = lengths[lengths > 0.1]
        return "directions" if known.size and (np.abs(known - 1) < 0.05).mean() > 0.95 else "colours"
    flat = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if flat.ndim != 2:
        return "other"
    return "real" if flat.dtype.kind == "f" else "whole" if flat.dtype.kind in "iu" else "other"


def _few(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return f"{shown}, … {values[-1]}" if len(values) > 8 else shown
