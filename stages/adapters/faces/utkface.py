"""UTKFace: some 23,700 faces whose file names give age, gender and race.

Zhang et al., "Age Progression/Regression by Conditional Adversarial Autoencoder" (CVPR 2017); for non-commercial
research. The import reads the aligned faces (`26_0_1_20170116184732662.jpg.chip.jpg`) and the pictures as found
(`26_0_1_20170116184732662.jpg`), at any depth below one directory. Of a face that is there twice it takes the aligned
one. A few published names lack a part (`61_1_20170109142408075.jpg`): these are left out and counted.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from schemas.errors import ConfigError
from schemas.imports import Skipped
from stages.adapters.adapter import Checked, Members, OnDisk, Row, held_out
from stages.adapters.pictures import Stored

AGE_ENDS = (2, 9, 19, 29, 39, 49, 59, 69)
"""The last year of each of the nine groups but the last, which has no end (docs/method.md)."""

OLDEST = 120
"""Years; the dataset's own limit is 116."""

SIZE = 140
"""Side that is stored, in pixels (docs/method.md)."""

NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_(\d{8,20})(?!\d).*\.?jpe?g", re.IGNORECASE)
"""Age, gender (0 male, 1 female), race (0 White, 1 Black, 2 Asian, 3 Indian, 4 other) and date.

What stands between the date and the ending is as it was published: `.jpg.chip`, a blank.
"""

ALIGNED = ".chip."


class UTKFace(OnDisk):
    """UTKFace: faces with age (value and nine groups), gender and race, from age_gender_race_date.jpg[.chip.jpg].

    Members of a sample: `png` (`jpg` with `original`); `json`: `age` (years), `age_group` 0..8, `gender`, `race`.
    """

    name: ClassVar[str] = "utkface"
    hidden: ClassVar[frozenset[str]] = frozenset({"crop", "gray"})

    pictures: Stored = Stored(size=SIZE)
    """How pictures are stored."""

    test_percent: int = Field(default=20, ge=0, le=100)
    """Faces in the test split, in percent, by the hash of their key: the dataset itself has no split."""

    def check(self) -> Checked:
        """Look for pictures."""
        files = _files(self.source)
        if not any(name.lower().endswith((".jpg", ".jpeg")) for name, _ in files):
            raise ConfigError(f"{self.source} holds no .jpg at any depth; name the folder with the faces")
        return Checked({}, len(files))

    def rows(self) -> Iterator[Row | Skipped]:
        """The faces in the order of their names."""
        for name, folder in _files(self.source):
            path = folder / name
            place = path.relative_to(self.source).as_posix()
            found = NAME.fullmatch(name)
            if found is None or int(found[1]) > OLDEST:
                yield Skipped(
                    reason="malformed-name",
                    message=f"{place}: the name is not age_gender_race_date.jpg (age up to {OLDEST}, gender 0 or 1, "
                    "race 0 to 4); rename it, if you know the face",
                )
                continue
            age, gender, race = (int(part) for part in found.groups()[:3])
            labels = {"age": age, "age_group": age_group(age), "gender": gender, "race": race}
            key = "_".join(found.groups())
            yield Row(held_out(key, self.test_percent), key, place, path.stat().st_size, labels)

    def members(self, row: Row) -> Members:
        """The face and its labels."""
        image = self.pictures.member((self.source / row.place).read_bytes())
        return [image, ("json", json.dumps(row.labels).encode())]


def age_group(age: int) -> int:
    """The group of an age in years.

    >>> [age_group(age) for age in (0, 2, 3, 9, 10, 69, 70, 116)]
    [0, 0, 1, 1, 2, 7, 8, 8]
    """
    return bisect_left(AGE_ENDS, age)


def _files(source: Path) -> list[tuple[str, Path]]:
    """Name and directory of every file that is not hidden, by name; of equal faces the aligned one first."""
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder; name the folder with the faces")
    found = [(name, Path(folder)) for folder, _, names in os.walk(source) for name in names if name[0] != "."]
    return sorted(found, key=lambda file: (file[0].partition(".")[0], ALIGNED not in file[0], file[0], file[1]))
