"""The sample of a training: cut over all tables by the hash of keys, whatever else lies in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stages.io.shards.sample import key_hash
from stages.learning.sampling import cut_tables, share, split_tables
from stages.learning.table import TableWriter, open_table
from tests import builders

KINDS = builders.kinds((100_000,))


def table(path: Path, numbers: Sequence[int]) -> Path:
    """Samples `k0`, `k1`, …, whose label and brightness are their number."""
    writer = TableWriter(path, resolution=4, kinds=KINDS)
    for number in numbers:
        writer.add(np.full((4, 4, 3), number % 256, np.uint8), [number], gray=False, key=f"k{number}")
    writer.close()
    return path


def first(numbers: Sequence[int], count: int) -> list[int]:
    return sorted(numbers, key=lambda number: key_hash(f"k{number}"))[:count]


def left(paths: Sequence[Path], samples: int) -> list[int]:
    """Numbers of the samples that a cut leaves, after the check that each image is still its label's."""
    cut_tables(paths, samples)
    cut = open_table(paths, KINDS)
    numbers: list[int] = cut.labels[0].tolist()
    assert cut.images(np.arange(len(cut)))[:, 0, 0, 0].tolist() == [number % 256 for number in numbers]
    return numbers


def test_of_all_shards_together_the_samples_stay_that_come_first_by_hash(tmp_path: Path) -> None:
    paths = [table(tmp_path / f"{shard}", range(300 * shard, 300 * (shard + 1))) for shard in range(4)]
    found = left(paths, 500)
    assert sorted(found) == sorted(first(range(1200), 500))
    assert found == sorted(found), "in the order of the shards"


def test_nothing_is_cut_where_everything_is_wanted(tmp_path: Path) -> None:
    paths = [table(tmp_path / f"{shard}", range(3 * shard, 3 * (shard + 1))) for shard in range(2)]
    before = [path.stat().st_ino for path in paths]
    assert left(paths, 6) == list(range(6))
    assert [path.stat().st_ino for path in paths] == before


@pytest.mark.parametrize("samples", [40, 100, 399])
def test_tables_that_kept_their_share_give_the_sample_that_whole_ones_give(tmp_path: Path, samples: int) -> None:
    shards = [range(100 * shard, 100 * (shard + 1)) for shard in range(4)]
    whole = [table(tmp_path / f"whole-{number}", each) for number, each in enumerate(shards)]
    kept = [table(tmp_path / f"kept-{n}", first(each, share(samples, 4))) for n, each in enumerate(shards)]
    found = left(whole, samples)
    assert len(found) == samples
    assert sorted(left(kept, samples)) == sorted(found)


def test_one_large_shard_does_not_fill_the_sample(tmp_path: Path) -> None:
    paths = [table(tmp_path / "large", range(5000)), *(table(tmp_path / f"{n}", [9000 + n]) for n in range(9))]
    found = left(paths, 50)
    assert {9000 + n for n in range(9)} <= set(found)
    assert len(found) == share(50, 10) + 9


def test_keys_that_shards_have_in_common_are_told_apart(tmp_path: Path) -> None:
    paths = [table(tmp_path / f"{shard}", range(20)) for shard in range(3)]
    assert len(left(paths, 31)) == 31


def test_a_share_does_not_fall_with_the_samples_and_does_not_grow_with_the_shards() -> None:
    assert [share(200_000, shards) for shards in (1, 100, 10_000, 10**6)] == [201_789, 2_179, 38, 2]


def parts(paths: Sequence[Path]) -> list[int]:
    return open_table(paths, KINDS).labels[0].tolist()  # type: ignore[no-any-return]


def test_what_is_held_out_is_a_fifth_the_same_in_every_cut_and_never_learned_from(tmp_path: Path) -> None:
    numbers = range(1000)
    learned, held_out = ([table(tmp_path / f"{name}{n}", numbers[n::2]) for n in range(2)] for name in "lh")
    split_tables(learned, held_out=False)
    split_tables(held_out, held_out=True)
    assert sorted(parts(learned) + parts(held_out)) == list(numbers)
    assert 150 < len(parts(held_out)) < 250

    fewer = [table(tmp_path / "fewer", numbers)]
    cut_tables(fewer, 300)
    kept = set(parts(fewer))
    split_tables(fewer, held_out=True)
    assert set(parts(fewer)) == kept & set(parts(held_out))
    assert 30 < len(parts(fewer)) < 90
