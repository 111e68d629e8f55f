"""Every countermeasure by its name in a configuration."""

from __future__ import annotations

from schemas.training import CountermeasureName
from stages.countermeasures.base import Countermeasure
from stages.countermeasures.class_means import ClassMeans
from stages.countermeasures.pixels import Squeezed
from stages.countermeasures.projection import Projection
from stages.transforms.gray import Gray

COUNTERMEASURES: dict[CountermeasureName, Countermeasure] = {
    "none": Countermeasure(),
    "gray": Squeezed(Gray()),
    "projection": Projection(),
    "mean_projection": Projection(of="means"),
    "class_means": ClassMeans(),
    "class_means_8": ClassMeans(bound=8),
}
