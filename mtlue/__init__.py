"""Protect image datasets before they are published: the Python interface.

    mtlue.run("pipeline.yaml")                        what the command `mtlue run` does; also plan, audit, verify
    perturber = mtlue.fit(images, labels)             learn a perturber from arrays
    protected = perturber.protect(images, labels)     the same images with a perturbation of at most 8/255
    perturber.save("faces.safetensors")               the secret: keep it from whoever gets the images
    perturber = mtlue.load("faces.safetensors")

`import mtlue` loads nothing heavy; torch comes with the first call that needs it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtlue.arrays import Perturber, fit, load
    from mtlue.datasets import audit, plan, run, verify

_ROOT = Path(__file__).parents[1]


def _import_from_beside() -> None:
    """Import our packages from this installation, whatever else on `sys.path` has such a name.

    A user's own folder `stages`, `schemas` or `pipeline` in the working directory or on PYTHONPATH is another package.

    Raises:
        ImportError: another module of such a name was imported before.
    """
    order = list(sys.path)
    sys.path.insert(0, str(_ROOT))
    try:
        for name in ("schemas", "stages", "pipeline"):
            found = import_module(name).__file__
            if found is None or Path(found).parents[1] != _ROOT:
                raise ImportError(f"module {name!r} was imported from {found}; import mtlue before it, or rename it")
    finally:
        sys.path[:] = order


_import_from_beside()

__all__ = ["Perturber", "audit", "fit", "load", "plan", "run", "verify"]

_HOMES = {
    **dict.fromkeys(("Perturber", "fit", "load"), "mtlue.arrays"),
    **dict.fromkeys(("audit", "plan", "run", "verify"), "mtlue.datasets"),
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mtlue' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
