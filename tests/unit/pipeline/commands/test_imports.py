"""The options of `mtlue import`."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from pipeline.commands.imports.rooms import rooms
from pipeline.commands.imports.scenes import scenes
from stages.datasets.rooms import CONTRAST as ROOMS
from stages.datasets.scenes import CONTRAST as SCENES


@pytest.mark.parametrize(("command", "contrast"), [(scenes, SCENES), (rooms, ROOMS)])
def test_the_contrast_that_is_offered_is_that_of_the_dataset(command: Callable[..., None], contrast: float) -> None:
    assert inspect.signature(command).parameters["contrast"].default == contrast
