"""The two regularisers: exact values on hand-made embeddings, and equal to plain loops over pairs of classes."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.perturbers.generator.training import embedding_regularisers

EAST, WEST, NORTH, SOUTH = [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]


def terms(*tables: list[list[float]]) -> tuple[float, float]:
    intra, inter = embedding_regularisers([torch.tensor(table) for table in tables])
    return intra.item(), inter.item()


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


def by_pairs(tables: list[list[list[float]]]) -> tuple[float, float]:
    """docs/method.md, "Total", word by word: loops over pairs of classes."""
    intra = []
    for table in tables:
        pairs = list(combinations(table, 2))
        intra.append(sum(cosine(one, other) for one, other in pairs) / len(pairs) + 1)
    between = [
        abs(cosine(one, other)) for first, second in combinations(tables, 2) for one in first for other in second
    ]
    return sum(intra) / len(intra), sum(between) / len(between) if between else 0.0


def test_opposite_classes_of_orthogonal_tasks_cost_nothing() -> None:
    assert terms([EAST, WEST], [NORTH, SOUTH]) == (0.0, 0.0)


def test_equal_classes_cost_the_most() -> None:
    assert terms([EAST, EAST], [EAST, EAST, EAST]) == (2.0, 1.0)


def test_orthogonal_classes_of_one_task_cost_one() -> None:
    assert terms([EAST, NORTH]) == (1.0, 0.0)


def test_opposite_directions_of_two_tasks_are_as_bad_as_equal_ones() -> None:
    assert terms([EAST, NORTH], [WEST, SOUTH])[1] == terms([EAST, NORTH], [EAST, NORTH])[1] == 0.5


def test_a_single_task_has_no_inter_term_and_still_learns() -> None:
    table = torch.tensor([EAST, [1.0, 0.5]], requires_grad=True)
    intra, inter = embedding_regularisers([table])
    assert inter.item() == 0.0
    (10 * intra + 200 * inter).backward()
    assert table.grad is not None
    assert bool(table.grad.isfinite().all())
    assert bool(table.grad.any())


def test_every_task_weighs_the_same_whatever_its_number_of_classes() -> None:
    # Four equal classes (2) and two opposite ones (0): the mean over tasks, not over the seven pairs.
    assert terms([EAST] * 4, [NORTH, SOUTH])[0] == 1.0


def test_rescaling_an_embedding_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    tables = [torch.randn(count, 4, 3, 3, generator=generator) for count in (3, 2)]
    scaled = [table * (0.1 + 50 * torch.rand(len(table), 1, 1, 1, generator=generator)) for table in tables]
    assert torch.stack(embedding_regularisers(scaled)).tolist() == pytest.approx(
        torch.stack(embedding_regularisers(tables)).tolist(), abs=1e-6
    )


values = st.floats(-5, 5, width=32).filter(lambda value: abs(value) > 0.01)


@settings(max_examples=60, deadline=None)
@given(
    tables=st.integers(1, 4).flatmap(
        lambda size: st.lists(
            st.lists(st.lists(values, min_size=size, max_size=size), min_size=2, max_size=5), min_size=1, max_size=4
        )
    )
)
def test_the_gram_matrix_gives_what_loops_over_pairs_give(tables: list[list[list[float]]]) -> None:
    found = terms(*tables)
    assert found == pytest.approx(by_pairs(tables), abs=2e-5)
    assert -1e-5 <= found[0] <= 2 + 1e-5
    assert 0 <= found[1] <= 1 + 1e-5
