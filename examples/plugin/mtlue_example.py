"""A countermeasure and a perturber that mtlue finds by their entry points, once this package is installed.

pip install ./examples/plugin
mtlue run --set train.perturber=stripes --set audit.countermeasures=[invert]
"""

from dataclasses import replace

import torch

from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.countermeasures.every_image import transformed
from stages.perturbers.codes import ClassCodes
from stages.perturbers.registry import PerturberKind
from stages.perturbers.training import Trained


class Invert(Countermeasure):
    """The attacker's model sees every picture as a negative."""

    def changed(self, data: Data) -> Data:
        """Training and test images, 255 minus each value."""
        train, test = (transformed(table, lambda image, key: 255 - image) for table in (data.train, data.test))
        return replace(data, train=train, test=test)


def draw_stripes(table, plan, device, report=lambda what, done, total: None, kept=None) -> Trained:
    """Fill class codes with random stripes of a pixel: nothing is trained."""
    rng = torch.Generator().manual_seed(plan.train.seed)
    codes, side = ClassCodes(plan.spec), plan.train.resolution
    with torch.no_grad():
        for embedding in codes.embeddings.values():
            maps = embedding.table  # one δ a class: classes × 3 × side × side, in units of ε
            maps.copy_(torch.randn(len(maps), 3, side, 1, generator=rng).sign().expand_as(maps))
    return Trained(codes.eval(), steps=0, seconds=0.0, losses=[])


STRIPES = PerturberKind(
    network=ClassCodes, trainer=draw_stripes, sees_images=False, wording=lambda settings: "random stripes"
)
