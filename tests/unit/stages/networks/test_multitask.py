"""The multi-task model and its loss: one head a task, missing labels leave the loss, and ResNet-18 is ResNet-18."""

import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tasks import MISSING
from stages.networks.backbones.resnet import ResNet18
from stages.networks.multitask import MultiTaskModel, mean_loss, task_losses
from tests.builders import columns, kinds


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_loss(logits: list[list[list[float]]], labels: list[list[int]], active: list[bool]) -> float:
    """Cross-entropy sample by sample: the mean over labelled samples, then over the tasks that have any."""
    means = []
    for task, rows in enumerate(logits):
        losses = [
            math.log(sum(math.exp(value) for value in row)) - row[label[task]]
            for row, label in zip(rows, labels, strict=True)
            if label[task] != MISSING
        ]
        if losses and active[task]:
            means.append(sum(losses) / len(losses))
    return sum(means) / len(means) if means else 0.0


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(2, 5), min_size=1, max_size=4),
    size=st.integers(1, 6),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_the_loss_is_that_of_the_slow_formula_with_missing_labels_and_tasks_left_out(
    counts: list[int], size: int, seed: int, data: st.DataObject
) -> None:
    active = data.draw(st.lists(st.booleans(), min_size=len(counts), max_size=len(counts)))
    labels = data.draw(
        st.lists(st.tuples(*(st.integers(MISSING, count - 1) for count in counts)), min_size=size, max_size=size)
    )
    logits = [torch.randn(size, count, generator=seeded(seed + count)) for count in counts]
    found = mean_loss(logits, columns(labels), kinds(counts), active).item()
    expected = slow_loss([rows.tolist() for rows in logits], [list(row) for row in labels], active)
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_batch_without_any_label_gives_a_loss_of_zero_that_can_be_stepped() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = mean_loss([logits], [torch.full((3,), MISSING)], kinds([4]))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not bool(logits.grad.any())


def test_a_sample_without_label_gets_no_gradient() -> None:
    logits = torch.randn(3, 4, generator=seeded()).requires_grad_()
    mean_loss([logits], columns([[1], [MISSING], [0]]), kinds([4])).backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(dim=1).gt(0).tolist() == [True, False, True]


def test_each_labelled_task_that_counts_has_a_loss_of_its_own() -> None:
    logits = [torch.randn(3, count, generator=seeded(count)) for count in (2, 3, 4)]
    labels = columns([[0, MISSING, 1], [1, MISSING, 3], [MISSING, MISSING, 0]])
    losses = task_losses(logits, labels, kinds([2, 3, 4]))
    alone = {task: task_losses([logits[task]], [labels[task]], kinds([2, 3, 4])[task : task + 1])[0] for task in (0, 2)}
    assert losses == alone
    assert list(task_losses(logits, labels, kinds([2, 3, 4]), [False, True, True])) == [2]


@pytest.mark.parametrize("resolution", [16, 20, 33, 100])
def test_each_task_has_its_own_head_at_any_resolution(resolution: int) -> None:
    model = MultiTaskModel("resnet18", width=4, kinds=kinds([7, 2, 3]), resolution=resolution).eval()
    logits = model(torch.rand(2, 3, resolution, resolution, generator=seeded()))
    assert [tuple(head.shape) for head in logits] == [(2, 7), (2, 2), (2, 3)]
    assert all(bool(head.isfinite().all()) for head in logits)


def test_the_tasks_share_the_backbone() -> None:
    model = MultiTaskModel("resnet18", width=4, kinds=kinds([2, 3]), resolution=16).train()
    logits = model(torch.rand(4, 3, 16, 16, generator=seeded()))
    for task in range(2):
        model.zero_grad()
        labels = torch.zeros(2, 4, dtype=torch.int64)
        mean_loss(logits, labels, kinds([2, 3]), [task == 0, task == 1]).backward(retain_graph=True)
        stem = model.backbone.stem[0].weight.grad
        assert stem is not None
        assert bool(stem.any())
        other = model.heads[1 - task].weight.grad
        assert other is None or not bool(other.any())


def test_at_width_64_and_large_images_the_backbone_computes_torchvisions_resnet18() -> None:
    reference = torchvision.models.resnet18(weights=None).eval()
    reference.fc = torch.nn.Identity()
    ours = ResNet18(width=64, resolution=128).eval()
    theirs = reference.state_dict()
    assert [value.shape for value in ours.state_dict().values()] == [value.shape for value in theirs.values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.values(), strict=True)))
    x = torch.randn(1, 3, 128, 128, generator=seeded())
    with torch.no_grad():
        torch.testing.assert_close(ours(x).mean(dim=(2, 3)), reference(x), rtol=1e-4, atol=1e-5)


def test_small_images_keep_their_resolution_in_the_stem() -> None:
    x = torch.rand(1, 3, 32, 32, generator=seeded())
    assert ResNet18(width=4, resolution=32).stem(x).shape == (1, 4, 32, 32)
