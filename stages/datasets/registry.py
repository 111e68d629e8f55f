"""The datasets that `mtlue import` knows: a line each here, or an entry point of another package."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from schemas.errors import ConfigError
from stages.datasets.adapter import Adapter

GROUP = "mtlue.datasets"
"""Entry points of other packages: name = "module:AdapterClass"."""

DATASETS = {
    "folder": "stages.datasets.folder.folder:Folder",
    "outlines": "stages.datasets.drawn.drawn:Outlines",
    "scenes": "stages.datasets.drawn.drawn:Scenes",
    "rooms": "stages.datasets.drawn.drawn:Rooms",
    "multifashion": "stages.datasets.drawn.multifashion:MultiFashion",
    "celeba": "stages.datasets.faces.celeba:CelebA",
    "utkface": "stages.datasets.faces.utkface:UTKFace",
    "chestxray14": "stages.datasets.medical.chestxray14:ChestXray14",
    "nyuv2": "stages.datasets.rooms.nyuv2:NYUv2",
}
"""Name → `module:class`; nothing is imported before it is asked for."""


def dataset_names() -> list[str]:
    """Every name, those of other packages last."""
    return [*DATASETS, *sorted({point.name for point in entry_points(group=GROUP)} - DATASETS.keys())]


def adapter_class(name: str) -> type[Adapter] | None:
    """The adapter of a dataset; None where there is none of this name.

    Raises:
        ConfigError: an entry point leads to something else.
    """
    if name in DATASETS:
        module, _, attribute = DATASETS[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        point = next((each for each in entry_points(group=GROUP) if each.name == name), None)
        if point is None:
            return None
        found = point.load()
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise ConfigError(f"entry point {name!r} of {GROUP} is {found!r}; it must be a class that derives from Adapter")
    return found
