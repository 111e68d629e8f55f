"""The datasets that `mtlue import` knows: a line each here, or an entry point of another package."""

from __future__ import annotations

from importlib import import_module

from schemas.errors import ConfigError
from schemas.plugins import DATASETS as GROUP
from schemas.plugins import installed, loaded
from stages.adapters.adapter import Adapter

DATASETS = {
    "folder": "stages.adapters.folder.folder:Folder",
    "outlines": "stages.adapters.drawn.drawn:Outlines",
    "scenes": "stages.adapters.drawn.drawn:Scenes",
    "rooms": "stages.adapters.drawn.drawn:Rooms",
    "multifashion": "stages.adapters.drawn.multifashion:MultiFashion",
    "celeba": "stages.adapters.faces.celeba:CelebA",
    "utkface": "stages.adapters.faces.utkface:UTKFace",
    "chestxray14": "stages.adapters.medical.chestxray14:ChestXray14",
    "nyuv2": "stages.adapters.rooms.nyuv2:NYUv2",
}
"""Name → `module:class`; nothing is imported before it is asked for."""


def dataset_names() -> list[str]:
    """Every name, those of other packages last."""
    return [*DATASETS, *(name for name in installed(GROUP) if name not in DATASETS)]


def adapter_class(name: str) -> type[Adapter] | None:
    """The adapter of a dataset; None where the name is unknown.

    Raises:
        ConfigError: an entry point leads to something else.
    """
    if name in DATASETS:
        module, _, attribute = DATASETS[name].partition(":")
        found = getattr(import_module(module), attribute)
    elif name in installed(GROUP):
        found = loaded(GROUP, name)
    else:
        return None
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise ConfigError(f"entry point {name!r} of {GROUP} is {found!r}; it must be a class that derives from Adapter")
    return found
