"""How much of δ the labels decide: what stays the same when another image carries it.

    S = 1 - E‖δ(x, y) - δ(x', y)‖² / (2·E‖δ(x, y) - E δ‖²)        x' another sample's image

The share of δ's variance that the labels explain, whatever the kinds of task (Sobol's index of all labels together,
Math. Comput. Simul. 55, 2001). Class codes have 1, δ that follows the image alone 0. Below `ENOUGH` TAP and SEP do
little against networks that training never saw (docs/method.md).

Shapes: N samples, B batch, C channels, H×W pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from stages.learning.table import ImageTable

ENOUGH = 0.5
"""Share below which the labels are drowned by the image."""

SAMPLES = 512
"""Images that are looked at, at most; two halves of them differ by some hundredths."""

BATCH = 128


def explained_share(generator: nn.Module, table: ImageTable, device: torch.device) -> float | None:
    """S in 0..1, over the first `SAMPLES` of a table; None where there is no other image, or all δ are the same.

    Args:
        generator: called with images, labels and gray flags it gives δ; in eval mode, on the device.
        table: images at its resolution, and their labels.
        device: where to compute.
    """
    count = min(SAMPLES, len(table))
    if count < 2:
        return None
    own_NCHW = _delta(generator, table, np.arange(count), np.arange(count), device)
    others_NCHW = _delta(generator, table, np.roll(np.arange(count), 1), np.arange(count), device)
    variance = float((own_NCHW - own_NCHW.mean(dim=0)).square().sum()) / (count - 1)
    by_image = float((own_NCHW - others_NCHW).square().sum()) / (2 * count)
    return None if variance == 0 else min(1.0, max(0.0, 1 - by_image / variance))


def drowned(share: float | None) -> str:
    """A warning where labels explain too little of δ, for terminal and report; else empty."""
    if share is None or share >= ENOUGH:
        return ""
    return (
        f"the labels explain {share:.0%} of the variance of δ, less than half. The rest follows the image: a model "
        "of an architecture that the training never saw may learn as if nothing were there. Use class codes "
        "(train.perturber: codes) or train.method: em, or prove it with an audit"
    )


def _delta(
    generator: nn.Module, table: ImageTable, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> torch.Tensor:
    """δ of some rows' images with other rows' labels, N×C×H×W float64 on the CPU."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            batch = table.batch(images[start : start + BATCH], device)
            shown = table.batch(labels[start : start + BATCH], device).labels
            parts.append(generator(batch.x_BCHW, shown, batch.gray_B).double().cpu())
    return torch.cat(parts)
