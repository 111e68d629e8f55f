"""Every transformation by the `kind` of its settings (schemas/plans.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from schemas.plans import Noise
from stages.transforms.base import Transform
from stages.transforms.noise import UniformNoise

TRANSFORMS: dict[str, Callable[..., Transform]] = {"noise": UniformNoise}


def transforms_of(settings: Sequence[Noise]) -> list[Transform]:
    """What the settings describe, in order."""
    made = []
    for each in settings:
        values: dict[str, Any] = each.model_dump(exclude={"kind"})
        made.append(TRANSFORMS[each.kind](**values))
    return made
