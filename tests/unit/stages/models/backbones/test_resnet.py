"""Backbones: the shortcut computes what a strided convolution does, and small networks do not crash the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from stages.models.backbones.resnet import Shortcut

TRAIN = """
import torch
from stages.models.multitask import MultiTaskModel
from stages.learning.optimise import to_device
from tests.builders import kinds
torch.set_num_threads(2)
for width in (4, 8, 12):
    model = to_device(MultiTaskModel("resnet18", width=width, kinds=kinds([3]), resolution=16), torch.device("cpu"))
    for count in (3, 11, 13, 33):
        x = torch.rand(count, 16, 16, 3).permute(0, 3, 1, 2)
        for _ in range(4):
            model(x)[0].square().sum().backward()
"""


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(4, 16, 16, 16), (2, 5, 9, 11)])
def test_the_shortcut_is_a_strided_convolution(memory: torch.memory_format, shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    shortcut, plain = Shortcut(shape[1], 7, 2), nn.Conv2d(shape[1], 7, kernel_size=1, stride=2, bias=False)
    plain.load_state_dict(shortcut.state_dict())
    x = torch.rand(shape, generator=rng).contiguous(memory_format=memory)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = shortcut(ours), plain(theirs)
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(shortcut.weight.grad, plain.weight.grad)


def test_a_narrow_network_survives_batches_that_threads_cannot_share_evenly() -> None:
    """In a process of its own: it ended by a signal when the shortcut was a strided convolution."""
    root = Path(__file__).parents[5]
    ended = subprocess.run([sys.executable, "-c", TRAIN], cwd=root, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
