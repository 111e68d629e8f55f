"""The two regularisers on the embeddings (docs/method.md, "Total"; MTL-UE, arXiv 2505.05279).

intra-task   mean cosine similarity over pairs of different classes of a task, plus 1; averaged over tasks
inter-task   mean absolute cosine similarity over all pairs of classes of different tasks
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


def embedding_regularisers(embeddings: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Both terms from one Gram matrix of the normalised embeddings.

    Args:
        embeddings: K tensors C_k×(…); each class's map is flattened.

    Returns:
        (L_intra in [0, 2], L_inter in [0, 1]); L_inter is 0 for a single task, both are where none has classes.

    Example:
        >>> opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> [term.item() for term in embedding_regularisers([opposite, opposite.flip(1)])]
        [0.0, 0.0]
    """
    if not embeddings:
        return torch.zeros(()), torch.zeros(())
    rows = torch.cat([functional.normalize(table.flatten(1), dim=1) for table in embeddings])
    gram = rows @ rows.T
    counts = [len(table) for table in embeddings]
    intra, start, same_task = [], 0, torch.zeros_like(gram, dtype=torch.bool)
    for count in counts:
        block = gram[start : start + count, start : start + count]
        intra.append((block.sum() - block.diagonal().sum()) / (count * (count - 1)) + 1)
        same_task[start : start + count, start : start + count] = True
        start += count
    between = gram.abs()[~same_task]
    inter = between.mean() if between.numel() else gram.sum() * 0
    return torch.stack(intra).mean(), inter
