"""Countermeasures where every pixel has a label: each trains a victim, and labels stay with their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from schemas.plans import TrainPlan, VictimPlan
from schemas.tasks import AnyTask, DepthTask, NormalsTask, SegmentationTask
from schemas.training import Train
from stages.audit.train_victim import train_victim
from stages.countermeasures import leaked_originals
from stages.countermeasures.countermeasure import Data
from stages.countermeasures.leaked_originals import protected_again
from stages.countermeasures.registry import COUNTERMEASURES
from stages.learning.table import ImageTable, TableWriter, open_table
from stages.tasks.kinds import kinds_of
from tests import builders

SIDE, CPU = 32, torch.device("cpu")
TASKS: list[AnyTask] = [
    SegmentationTask(name="mask", kind="segmentation", field="mask.png", classes=2),
    DepthTask(name="depth", kind="depth", field="depth.png", high=8),
    NormalsTask(name="normals", kind="normals", field="normals.npy"),
]
KINDS = kinds_of(TASKS)
SECOND = Train(perturber="pil", surrogate_epochs=1, resolution=16)
"""What makes a second copy, in no time."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    """Pictures of two halves: one is bright, near and faces to the right, the other dark, far and faces up."""
    path = tmp_path_factory.mktemp("dense") / "images.arrow"
    writer = TableWriter(path, resolution=SIDE, kinds=KINDS)
    for number in range(12):
        near = np.arange(SIDE)[None, :].repeat(SIDE, axis=0) < 8 * (1 + number % 3)
        image = np.where(near, 200, 60).astype(np.uint8)[..., None].repeat(3, axis=2)
        normals = np.where(near[..., None], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]).astype(np.float32)
        depth = np.where(near, 2, 6).astype(np.float32)
        writer.add(image, [near.astype(np.uint8), depth, normals], gray=False, key=str(number))
    writer.close()
    return open_table([path], KINDS)


def brightness(table: ImageTable) -> np.ndarray:
    return table.images(np.arange(len(table)))[..., 0] > 128


@pytest.mark.parametrize("name", [name for name, each in COUNTERMEASURES.items() if not each.needs_weights])
def test_every_countermeasure_trains_a_victim_of_masks_depths_and_normals(
    name: Any, table: ImageTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaked_originals, "STEPS", 10)
    train = TrainPlan(train=SECOND, tasks=TASKS, protected=[True] * 3, epsilon=8 / 255)
    plan = VictimPlan(
        tasks=TASKS, data="protected", backbone="unet", width=4, epochs=1, batch_size=8, augment=["crop"], seed=0,
        countermeasure=name, second=train if COUNTERMEASURES[name].needs_second else None,
    )  # fmt: skip
    found = train_victim(table, table, plan, CPU, clean=table if COUNTERMEASURES[name].needs_originals else None)
    assert set(found.figures[0]) == {"mask", "depth", "normals"}


@pytest.mark.parametrize("name", ["half_size", "larger"])
def test_at_another_size_each_pixel_keeps_the_label_of_its_place(name: Any, table: ImageTable) -> None:
    changed = COUNTERMEASURES[name].changed(Data(table, table, KINDS, 0))
    side = COUNTERMEASURES[name].resolution(SIDE)
    for seen in (changed.train, changed.test):
        mask_NRR, depth_NRR, normals_N3RR = seen.labels
        assert seen.chunks[0].shape[1:3] == mask_NRR.shape[1:] == depth_NRR.shape[1:] == normals_N3RR.shape[2:]
        assert mask_NRR.shape[1:] == (side, side)
        # Pixels at an edge are mixtures: there the nearest label is one of two right ones.
        near_NRR, wrong = brightness(seen), 1 / side
        assert (near_NRR != mask_NRR.astype(bool)).mean() <= wrong
        assert (near_NRR != (depth_NRR == 2)).mean() <= wrong
        assert (near_NRR != (normals_N3RR[:, 0] > 0)).mean() <= wrong


def test_a_second_copy_can_be_made_at_another_resolution_than_the_victims(table: ImageTable) -> None:
    copy = protected_again(table, TrainPlan(train=SECOND, tasks=TASKS, protected=[True] * 3, epsilon=8 / 255), CPU)
    moved = np.abs(copy.astype(int) - table.images(np.arange(len(table))))
    assert copy.shape == (12, SIDE, SIDE, 3)
    assert 0 < moved.max() <= 8


def test_what_takes_out_class_means_is_for_labels_of_whole_images() -> None:
    whole = builders.kinds((3,))
    for name, each in COUNTERMEASURES.items():
        assert each.applies(whole)
        assert each.applies([*whole, *KINDS])
        without = name in ("projection", "mean_projection", "class_means", "class_means_8")
        assert each.applies(KINDS) != without, name
