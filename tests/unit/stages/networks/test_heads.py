"""Heads that are asked together answer what each answers by itself."""

import torch
from torch import nn

from stages.networks.multitask import answers_of


def test_linear_heads_answer_together_what_each_answers_by_itself() -> None:
    torch.manual_seed(0)
    deep = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    heads = [nn.Linear(6, 2), deep, nn.Linear(6, 5), nn.Linear(6, 1)]
    seen = torch.randn(7, 6)
    for found, head in zip(answers_of(heads, seen), heads, strict=True):
        torch.testing.assert_close(found, head(seen))


def test_heads_with_and_without_bias_keep_their_own() -> None:
    torch.manual_seed(0)
    heads, seen = [nn.Linear(6, 2), nn.Linear(6, 2, bias=False)], torch.randn(7, 6)
    for found, head in zip(answers_of(heads, seen), heads, strict=True):
        torch.testing.assert_close(found, head(seen))
