"""Countermeasures of an attacker who has more than the protected images: originals, pairs, or a second copy.

Shapes: N samples, B images, C channels, H×W pixels, R resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from schemas.plans import TrainPlan
from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.learning.augment import augment
from stages.learning.table import ImageTable
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import PERTURBERS
from stages.protect.arrays import protected_images
from stages.tasks.kinds import fitted_tasks, kinds_of

WEIGHT = 0.2
"""Share of a pass that is clean samples."""


@dataclass(frozen=True)
class CleanSamples(Countermeasure):
    """The attacker adds a share of the originals to the protected images.

    They come with their labels, each so often that they are a fifth of all. APBench (Qin et al., 2023) calls it a
    mixture of clean and poisoned data.

    The control trains on the clean part alone. What a victim reaches beyond it, it learned from protected images.
    """

    share: float

    @property
    def needs_originals(self) -> bool:
        """Always."""
        return True

    def changed(self, data: Data) -> Data:
        """Protected images and, again and again, the few originals; in the control the originals alone."""
        rows, alone = chosen(len(data.train), self.share, data.seed), data.clean is None
        few = subset(data.train if data.clean is None else data.clean, rows)
        if alone:
            return replace(data, train=few)
        times = max(1, round(WEIGHT / (1 - WEIGHT) * len(data.train) / len(few)))
        return replace(data, train=joined([data.train, *[few] * times]))


@dataclass(frozen=True)
class Coverage(Countermeasure):
    """Only a share of the images that the victim learns from is protected.

    No attack but a mistake of publishing: partial coverage is known to undo most of a protection (Huang et al., 2021,
    section 5.3).
    """

    share: float

    @property
    def needs_originals(self) -> bool:
        """Always."""
        return True

    def changed(self, data: Data) -> Data:
        """Protected and clean images, each sample once; in the control the clean ones alone."""
        open_rows = chosen(len(data.train), 1 - self.share, data.seed)
        if data.clean is None:
            return replace(data, train=subset(data.train, open_rows))
        closed_rows = np.setdiff1d(np.arange(len(data.train)), open_rows)
        return replace(data, train=joined([subset(data.train, closed_rows), subset(data.clean, open_rows)]))


def chosen(count: int, share: float, seed: int) -> np.ndarray:
    """Rows, in order: a random share of them, two at least (batch norm needs two)."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).numpy()
    return np.sort(order[: max(2, round(share * count))])


def subset(table: ImageTable, rows: np.ndarray) -> ImageTable:
    """Some rows of a table, in memory."""
    return ImageTable((table.images(rows),), tuple(label[rows] for label in table.labels), table.gray_N[rows])


def joined(tables: list[ImageTable]) -> ImageTable:
    """Tables of one kind and size, one after the other."""
    return ImageTable(
        tuple(chunk for table in tables for chunk in table.chunks),
        tuple(np.concatenate(labels) for labels in zip(*(table.labels for table in tables), strict=True)),
        np.concatenate([table.gray_N for table in tables]),
    )


STEPS, BATCH, WIDTH, LEARNING_RATE = 300, 32, 24, 2e-3


@dataclass(frozen=True)
class Purifier(Countermeasure):
    """The training images go through a network that has seen some pairs.

    A purifier: whoever holds pairs of clean and protected images trains a network that takes δ off again.

    BridgePure (Wang et al., 2024, "BridgePure: limited protection leakage can break black-box data protection") shows
    that few leaked pairs suffice. Here a small residual network of three convolutions cleans the training images; test
    images are clean. It is trained by the mean absolute error on `pairs` pairs (Adam 2e-3, 300 steps of 32, shifted and
    mirrored).

    The pair of an original is the protected image that is nearest to it, so that rows need not stand in the same order.
    """

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


@dataclass(frozen=True)
class Averaged(Countermeasure):
    """The victim learns from the means of two protected copies.

    An averaged pair: the attacker has two protected copies of each image, by two generators, and takes their mean.

    Whoever kept the files of before a `--retrain`, or found the dataset protected twice, holds such pairs. The mean
    keeps what both δ have in common and halves the rest. Here the second generator is trained by the same plan from
    another seed, on the originals that the victims see. That costs a whole training, so `all` leaves it out.

    The control is a victim on clean images, which have nothing to average.
    """

    @property
    def cost(self) -> float:
        """A training of the perturber comes first; how long that takes beside a victim's is a guess."""
        return 4.0

    @property
    def needs_originals(self) -> bool:
        """What leaked is a second copy, not an original; it is no more in the attacker's reach than that."""
        return True

    @property
    def needs_second(self) -> bool:
        """Always."""
        return True

    def changed(self, data: Data) -> Data:
        """The training table averaged with a second protected copy; in the control it stays as it is."""
        if data.clean is None or data.second is None:
            return data
        copy_NRRC = protected_again(data.clean, data.second, data.device)
        own_NRRC = data.train.images(np.arange(len(data.train)))
        if len(copy_NRRC) != len(own_NRRC):  # some were left out when the dataset was protected
            copy_NRRC = copy_NRRC[nearest_rows(own_NRRC, data.clean)]
        mean_NRRC = (own_NRRC.astype(np.uint16) + copy_NRRC + 1) // 2
        return replace(data, train=replace(data.train, chunks=(mean_NRRC.astype(np.uint8),)))


def protected_again(clean: ImageTable, plan: TrainPlan, device: torch.device) -> np.ndarray:
    """The images of a table as a generator protects them that was trained on that table: N×R×R×3 uint8.

    Args:
        clean: originals, at any resolution.
        plan: of the training; its seed decides.
        device: where to train.
    """
    table = clean.resized(plan.train.resolution, kinds_of(plan.tasks))
    fitted = plan.model_copy(update={"tasks": fitted_tasks(plan.tasks, table.labels)})
    perturber = GeneratorPerturber(PERTURBERS[plan.train.perturber].train(table, fitted, device).generator, "second")
    return np.stack(list(protected_images(list(clean.images(np.arange(len(clean)))), table, perturber)))
