"""The options of `mtlue import`."""

from __future__ import annotations

import inspect

from pipeline.commands.imports.scenes import scenes
from stages.datasets.scenes import CONTRAST


def test_the_contrast_that_is_offered_is_that_of_the_dataset() -> None:
    assert inspect.signature(scenes).parameters["contrast"].default == CONTRAST
