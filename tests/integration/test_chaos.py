"""Five deaths, of workers and drivers, while a dataset is read, trained on, proven, protected and published."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos import Killed, live, scene
from tests.servers import S3Server

pytestmark = pytest.mark.slow

POINTS = (
    (
        "after upload */private/tables/train-00001.tar.*",
        "after write */private/training/*",
        "before delete */private/training/*",
    ),
    ("after upload */public/train-00002.tar", "before write */public/manifest.json"),
)


def test_after_five_deaths_the_output_is_that_of_an_unbroken_run(s3: S3Server, here: None, tmp_path: Path) -> None:
    made, killed = scene(tmp_path, s3.bucket(), s3.storage), Killed()
    live(made, f"{s3.bucket()}/life", random.Random(0), killed, kills=5, points=POINTS)
    assert sorted(killed.points) == sorted(point for run in POINTS for point in run), "a step was not reached"
