"""Of many maps those that the labels of a batch choose, added: one matrix product instead of a copy a task and image.

Shapes: B images, C classes, K tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stages.tasks.task_kind import LabelEmbedding


def with_neutral(embedding: LabelEmbedding) -> torch.Tensor:
    """The maps of one task's classes and the one that a missing label shows, (C + 1)×M×h×w; `rows` counts in them."""
    assert embedding.table is not None  # noqa: S101 - asked for where there are classes
    return torch.cat([embedding.table, embedding.neutral(1)])


def sum_of_chosen(maps: Sequence[torch.Tensor], rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Σ_k maps^k[rows^k] of each image, first axis B.

    Args:
        maps: of each task, all its maps on the first axis; the other axes are the same in every task.
        rows: of each task, B numbers of maps.
    """
    table = torch.cat(list(maps))
    starts = torch.tensor([0, *(len(each) for each in maps[:-1])], device=table.device).cumsum(0)
    picked_BK = torch.stack(list(rows), dim=1) + starts
    choice = torch.zeros(len(picked_BK), len(table), device=table.device, dtype=table.dtype)
    choice.scatter_(1, picked_BK, 1.0)
    last = table.permute(0, 2, 3, 1)  # in channels-last memory a view; so is the result
    summed = choice @ last.flatten(1)
    return summed.view(len(choice), *last.shape[1:]).permute(0, 3, 1, 2)
