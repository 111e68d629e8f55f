"""Countermeasures that change the training: what a victim is shown at a step, and by which labels."""

from __future__ import annotations

import pytest
import torch

from schemas.tasks import SegmentationTask
from stages.countermeasures.registry import COUNTERMEASURES
from stages.learning.table import Batch
from stages.networks.multitask import MultiTaskModel, accumulate_gradients, mean_loss
from stages.tasks.kinds import kinds_of
from tests import builders

KINDS = builders.kinds()
STRONGER = ["jitter", "cutout", "ueraser", "mixup", "cutmix", "adversarial4", "adversarial8"]


def model() -> MultiTaskModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MultiTaskModel("plain", width=4, kinds=KINDS, resolution=16)


def normed() -> MultiTaskModel:
    """With batch norm, in train mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MultiTaskModel("stride5", width=4, kinds=KINDS, resolution=16).train()


def batch(count: int = 12) -> Batch:
    rng = torch.Generator().manual_seed(1)
    labels = (torch.arange(count) % 3, torch.arange(count) % 2)
    return Batch(torch.rand(count, 3, 16, 16, generator=rng), labels, torch.zeros(count, dtype=torch.bool))


def shown(name: str, given: Batch, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return COUNTERMEASURES[name].lesson(model(), given, KINDS, [], rng).x_BCHW  # type: ignore[index]


@pytest.mark.parametrize("name", STRONGER)
def test_images_change_stay_in_range_and_come_out_the_same_from_the_same_seed(name: str) -> None:
    given = batch()
    before = given.x_BCHW.clone()
    found = shown(name, given)
    assert found.shape == given.x_BCHW.shape
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert not found.requires_grad
    assert torch.equal(given.x_BCHW, before)
    assert not torch.equal(found, before)
    assert torch.equal(found, shown(name, given))
    assert not torch.equal(found, shown(name, given, seed=1))


@pytest.mark.parametrize(("name", "radius"), [("adversarial4", 4), ("adversarial8", 8)])
def test_adversarial_images_lie_within_the_radius_and_are_worse_for_the_model(name: str, radius: int) -> None:
    given, victim = batch(), model().eval()
    found = (
        COUNTERMEASURES[name]
        .lesson(  # type: ignore[index]
            victim, given, KINDS, [], torch.Generator().manual_seed(0)
        )
        .x_BCHW
    )
    assert float((found - given.x_BCHW).abs().max()) <= radius / 255 + 1e-6
    with torch.no_grad():
        worse = mean_loss(victim(found), given.labels, KINDS)
        assert worse > mean_loss(victim(given.x_BCHW), given.labels, KINDS)


def test_the_adversarial_radius_grows_over_the_first_third_and_batch_statistics_stay_as_they_are() -> None:
    given, victim = batch(), normed()
    before = [buffer.clone() for buffer in victim.buffers()]
    reached = []
    for progress in (0.0, 1 / 6, 1 / 3, 1.0):
        rng = torch.Generator().manual_seed(0)
        lesson = COUNTERMEASURES["adversarial4"].lesson(victim, given, KINDS, [], rng, progress)
        reached.append(float((lesson.x_BCHW - given.x_BCHW).abs().max()) * 255)
    assert reached == pytest.approx([0, 2, 4, 4], abs=1e-3)
    assert victim.training
    assert all(torch.equal(buffer, old) for buffer, old in zip(victim.buffers(), before, strict=True))


def test_staged_training_stops_shallow_layers_before_deep_ones_and_never_the_heads() -> None:
    victim = normed()
    learning = []
    for progress in (0.0, 0.5, 0.9):
        COUNTERMEASURES["staged"].begin_epoch(victim, progress)
        assert victim.training
        assert all(parameter.requires_grad for parameter in victim.heads.parameters())
        learning.append([parameter.requires_grad for parameter in victim.backbone.parameters()])
    assert all(learning[0])
    for flags in learning[1:]:
        assert flags == sorted(flags), "the first layers stop first"
        assert not all(flags)
        assert any(flags)
    assert sum(learning[2]) < sum(learning[1])


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_images_hold_another_in_the_share_that_its_labels_count(name: str) -> None:
    white = torch.cat([torch.zeros(6, 3, 16, 16), torch.ones(6, 3, 16, 16)])
    labels = (torch.arange(12) // 6, torch.arange(12) // 6)
    lesson = COUNTERMEASURES[name].lesson(  # type: ignore[index]
        model(), Batch(white, labels, torch.zeros(12, dtype=torch.bool)), KINDS, [], torch.Generator().manual_seed(3)
    )
    assert lesson.mixed is not None
    share, others = lesson.mixed
    expected = (1 - share) * labels[0] + share * others[0]
    assert torch.allclose(lesson.x_BCHW.mean(dim=(1, 2, 3)), expected.float(), atol=1e-5)
    assert torch.equal(others[0], others[1])


def test_the_gradient_of_a_mixed_batch_is_the_mixture_of_both_labels_gradients() -> None:
    given, victim = batch(), model().eval()
    others = tuple(label.flip(0) for label in given.labels)

    def gradient(
        labels: tuple[torch.Tensor, ...], mixed: tuple[float, tuple[torch.Tensor, ...]] | None
    ) -> torch.Tensor:
        victim.zero_grad()
        accumulate_gradients(victim, given.x_BCHW, labels, KINDS, mixed)
        return torch.cat([p.grad.flatten() for p in victim.parameters() if p.grad is not None])

    both = gradient(given.labels, (0.25, others))
    assert torch.allclose(both, 0.75 * gradient(given.labels, None) + 0.25 * gradient(others, None), atol=1e-6)


def test_a_task_that_only_the_mixed_in_images_have_labels_of_is_learned_from_them() -> None:
    given, victim = batch(), model().eval()
    missing = (torch.full((12,), -1), given.labels[1])
    accumulate_gradients(victim, given.x_BCHW, missing, KINDS, (0.5, given.labels))
    head = victim.heads[0]
    assert isinstance(head, torch.nn.Linear)
    assert head.weight.grad is not None
    assert float(head.weight.grad.abs().sum()) > 0


def test_a_victim_at_half_size_sees_images_of_half_the_side() -> None:
    half, larger = COUNTERMEASURES["half_size"], COUNTERMEASURES["larger"]
    assert (half.resolution(32), larger.resolution(32)) == (16, 48)
    assert half.resolution(30) == 16  # multiples of 4


def test_what_moves_the_pixels_moves_their_labels() -> None:
    kind = kinds_of([SegmentationTask(kind="segmentation", field="mask.png", classes=4, ignore=255)])[0]
    rng = torch.Generator().manual_seed(1)
    mask_BRR = torch.randint(4, (12, 16, 16), generator=rng, dtype=torch.uint8)
    x_BCHW = (mask_BRR.float() / 3)[:, None].repeat(1, 3, 1, 1)
    given = Batch(x_BCHW, (mask_BRR,), torch.zeros(12, dtype=torch.bool))
    with torch.random.fork_rng(devices=[]):
        victim = MultiTaskModel("unet", width=4, kinds=[kind], resolution=16)
    cut = COUNTERMEASURES["cutmix"].lesson(victim, given, [kind], ["crop", "flip"], torch.Generator().manual_seed(2))
    known = cut.labels[0] != 255
    assert known.any()
    assert torch.equal(cut.x_BCHW[:, 0][known], cut.labels[0][known].float() / 3)
    assert cut.mixed is not None
    assert torch.equal(cut.labels[0], cut.mixed[1][0]), (
        "the loss of a mask is that of the pasted one, whatever the share"
    )
    seen = COUNTERMEASURES["jitter"].lesson(victim, given, [kind], [], torch.Generator().manual_seed(2))
    assert not torch.equal(seen.labels[0], mask_BRR)
    # Within an image light keeps the order of gray levels: where the label is greater the picture is brighter.
    flat_x, flat_y = seen.x_BCHW[:, 0].flatten(1), seen.labels[0].flatten(1).float()
    for x_P, y_P in zip(flat_x, flat_y, strict=True):
        assert float(torch.corrcoef(torch.stack([x_P, y_P]))[0, 1]) > 0.5
