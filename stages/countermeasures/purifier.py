"""A purifier: whoever holds pairs of clean and protected images trains a network that takes δ off again.

BridgePure (Wang et al., 2024, "BridgePure: limited protection leakage can break black-box data protection") shows that
few leaked pairs suffice. Here a small residual network of three convolutions, trained by the mean absolute error on
`pairs` pairs (Adam 2e-3, 300 steps of 32, shifted and mirrored), cleans the training images; test images are clean.

The pair of an original is the protected image that is nearest to it, so that rows need not stand in the same order.

Shapes: N samples, B images, C channels, H×W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.countermeasures.leaked_originals import chosen
from stages.learning.augment import augment
from stages.learning.table import ImageTable

STEPS, BATCH, WIDTH, LEARNING_RATE = 300, 32, 24, 2e-3


@dataclass(frozen=True)
class Purifier(Countermeasure):
    """The training images go through a network that has seen some pairs."""

    pairs: int

    @property
    def needs_originals(self) -> bool:
        """Always."""
        return True

    def changed(self, data: Data) -> Data:
        """The training table purified; in the control the images are clean and stay as they are."""
        if data.clean is None:
            return data
        rows = chosen(len(data.clean), min(1.0, self.pairs / len(data.clean)), data.seed)
        purifier = trained_purifier(data.clean.images(rows), data.train, data.seed)
        return replace(data, train=purified(data.train, purifier))


def trained_purifier(clean_NHWC: np.ndarray, protected: ImageTable, seed: int) -> nn.Module:
    """A network from protected to clean images in [0, 1], in eval mode.

    Args:
        clean_NHWC: N leaked originals, uint8.
        protected: holds their protected twins.
        seed: of weights and batches.
    """
    twins_NHWC = protected.images(nearest_rows(clean_NHWC, protected))
    pairs_NCHW = torch.from_numpy(np.concatenate([twins_NHWC, clean_NHWC], axis=3)).permute(0, 3, 1, 2).float() / 255
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, WIDTH, 5, padding=2), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(WIDTH, 3, 5, padding=2),
        )  # fmt: skip
    adam = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        batch_BCHW = pairs_NCHW[torch.randint(len(pairs_NCHW), (BATCH,), generator=rng)]
        seen_BCHW, wanted_BCHW = augment(batch_BCHW, ["crop", "flip"], rng).split(3, dim=1)
        loss = (seen_BCHW + network(seen_BCHW) - wanted_BCHW).abs().mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    return network.eval()


def nearest_rows(images_NHWC: np.ndarray, table: ImageTable) -> np.ndarray:
    """For each image the row of the table whose image is nearest, by the sum of squares."""
    asked_ND = images_NHWC.reshape(len(images_NHWC), -1).astype(np.float32)
    best_N, rows_N, start = np.full(len(asked_ND), np.inf), np.zeros(len(asked_ND), dtype=np.int64), 0
    for chunk in table.chunks:
        known_MD = chunk.reshape(len(chunk), -1).astype(np.float32)
        distance_NM = (known_MD**2).sum(1)[None] - 2 * asked_ND @ known_MD.T
        nearest_N = distance_NM.argmin(1)
        found_N = distance_NM[np.arange(len(asked_ND)), nearest_N]
        rows_N = np.where(found_N < best_N, start + nearest_N, rows_N)
        best_N, start = np.minimum(best_N, found_N), start + len(chunk)
    return rows_N


def purified(table: ImageTable, network: nn.Module) -> ImageTable:
    """The table with what the network adds to each image, as uint8."""
    chunks = []
    with torch.inference_mode():
        for chunk in table.chunks:
            parts = []
            for part in np.array_split(chunk, max(1, len(chunk) // 256)):
                x_BCHW = torch.tensor(part).permute(0, 3, 1, 2).float() / 255
                clean_BCHW = (x_BCHW + network(x_BCHW)).clamp(0, 1) * 255
                parts.append(clean_BCHW.round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
            chunks.append(np.concatenate(parts))
    return replace(table, chunks=tuple(chunks))
