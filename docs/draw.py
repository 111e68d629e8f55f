"""Draws the pictures of docs/how-it-works.md, from drawn data alone: PYTHONPATH=. python docs/draw.py (minutes).

The pictures are committed, since their training would make every `make docs` slow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import mtlue
from stages.adapters.drawn.outlines import CLASSES, draw_outlines
from stages.report.pictures import difference, viewable

PICTURES = Path(__file__).parent / "pictures"
SIDE, GAP = 160, 8
SHOWN = 4


def main() -> None:
    """Train class codes on drawn pictures, and draw what they do."""
    drawn = [draw_outlines(index) for index in range(1500)]
    images = np.stack([image for image, _ in drawn])
    tasks = ("body-1", "body-2")
    labels = {task: [found[task] for _, found in drawn] for task in tasks}
    perturber = mtlue.fit(images, labels, train={"resolution": 32, "augment": ["crop"]})

    shown, of_shown = images[:SHOWN], {task: labels[task][:SHOWN] for task in tasks}
    protected = perturber.protect(shown, of_shown)
    strip("clean", list(shown))
    strip("protected", list(protected))
    strip("difference", [difference(clean, after) for clean, after in zip(shown, protected, strict=True)])

    # δ alone: what is added to a gray picture of every outline of the left body, the right one always a disc.
    classes = list(range(len(CLASSES)))
    gray = np.full((len(classes), 32, 32, 3), 128, np.uint8)
    found = perturber.protect(gray, {"body-1": classes, "body-2": [4] * len(classes)})
    strip("codes", [difference(before, after) for before, after in zip(gray, found, strict=True)], side=96)


def strip(name: str, pictures: list[np.ndarray], side: int = SIDE) -> None:
    """Write pictures side by side, each enlarged by a whole factor."""
    shown = [viewable(picture, side) for picture in pictures]
    width = shown[0].width
    sheet = Image.new("RGB", (len(shown) * (width + GAP) - GAP, shown[0].height), "white")
    for number, picture in enumerate(shown):
        sheet.paste(picture, (number * (width + GAP), 0))
    sheet.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
