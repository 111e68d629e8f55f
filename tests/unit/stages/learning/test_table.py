"""Tables of images: what goes in comes out, and a pass sees every row once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from schemas.tasks import MISSING
from stages.learning.table import Batch, ImageTable, TableWriter, open_table
from tests import builders

CPU = torch.device("cpu")
KINDS = builders.kinds((70_000, 2))


def numbered(path: Path, count: int, *, first: int = 0, resolution: int = 4) -> Path:
    """A table whose rows can be told apart: image n is filled with its number, its labels are n and -1 or 0."""
    writer = TableWriter(path, resolution=resolution, kinds=KINDS)
    for number in range(first, first + count):
        image = np.full((resolution, resolution, 3), number % 256, np.uint8)
        writer.add(image, [number, MISSING if number % 2 else 0], gray=number % 3 == 0)
    writer.close()
    return path


def rows_of(batch: Batch) -> list[int]:
    """The rows in a batch, after the check that image, labels and gray flag belong together."""
    rows: list[int] = batch.labels[0].tolist()
    for row, image, second, gray in zip(rows, batch.x_BCHW, batch.labels[1], batch.gray_B, strict=True):
        assert image.mul(255).round().unique().tolist() == [row % 256]
        assert second == (MISSING if row % 2 else 0)
        assert bool(gray) == (row % 3 == 0)
    return rows


def one_pass(table: ImageTable, size: int, seed: int = 0) -> list[list[int]]:
    return [rows_of(batch) for batch in table.batches(size, torch.Generator().manual_seed(seed), CPU)]


def test_images_labels_and_flags_come_back_as_they_went_in(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    labels = rng.integers(MISSING, 70_000, (5, 3))
    kinds = builders.kinds((70_000, 70_000, 70_000))
    writer = TableWriter(tmp_path / "t", resolution=16, kinds=kinds)
    for number in range(5):
        writer.add(images[number], labels[number].tolist(), gray=number == 1)
    writer.close()
    assert writer.count == 5
    table = open_table([tmp_path / "t"], kinds)
    assert len(table) == 5
    np.testing.assert_array_equal(table.images(np.arange(5)), images)
    assert len(table.labels) == 3
    np.testing.assert_array_equal(np.stack(table.labels, axis=1), labels)
    assert table.gray_N.tolist() == [False, True, False, False, False]
    batch = table.batch(np.array([3, 0]), CPU)
    assert batch.x_BCHW.shape == (2, 3, 16, 16)
    assert batch.x_BCHW.dtype == torch.float32
    assert [(label.dtype, label.tolist()) for label in batch.labels] == [
        (torch.int64, labels[[3, 0], task].tolist()) for task in range(3)
    ]
    np.testing.assert_array_equal(batch.x_BCHW.mul(255).round().permute(0, 2, 3, 1).numpy(), images[[3, 0]])


def test_images_that_do_not_lie_in_one_block_of_memory_are_stored_right(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 4), dtype=np.uint8).transpose(1, 2, 0)
    writer = TableWriter(tmp_path / "t", resolution=4, kinds=KINDS[:1])
    writer.add(image, [0], gray=False)
    writer.close()
    np.testing.assert_array_equal(open_table([tmp_path / "t"], KINDS[:1]).images(np.arange(1))[0], image)


@pytest.mark.parametrize("image", [np.zeros((4, 5, 3), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 1), np.uint8)])
def test_an_image_of_another_size_or_type_is_refused(image: np.ndarray, tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "t", resolution=4, kinds=KINDS[:1])
    with pytest.raises(ValueError, match=r"\(4, 4, 3\) uint8"):
        writer.add(image, [0], gray=False)
    writer.close()


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 600])
def test_tables_of_any_length_keep_every_row(count: int, tmp_path: Path) -> None:
    table = open_table([numbered(tmp_path / "t", count)], KINDS)
    assert len(table) == count
    in_order = [row for batch in table.in_order(100, CPU) for row in rows_of(batch)]
    assert in_order == list(range(count))


def test_several_files_of_several_chunks_are_one_table(tmp_path: Path) -> None:
    paths = [
        numbered(tmp_path / "a", 300),
        numbered(tmp_path / "b", 1, first=300),
        numbered(tmp_path / "c", 259, first=301),
    ]
    table = open_table(paths, KINDS)
    assert len(table.chunks) == 5
    assert len(table) == 560
    rows = np.array([559, 0, 300, 301, 255, 256, 299, 0])
    assert rows_of(table.batch(rows, CPU)) == rows.tolist()
    assert sorted(row for batch in one_pass(table, 32) for row in batch) == list(range(560))


@pytest.mark.parametrize(("count", "size"), [(10, 3), (10, 4), (12, 4), (7, 100), (2, 2), (300, 64)])
def test_a_pass_sees_every_row_once(count: int, size: int, tmp_path: Path) -> None:
    batches = one_pass(open_table([numbered(tmp_path / "t", count)], KINDS), size)
    left_out = 1 if count % size == 1 else 0
    rows = [row for batch in batches for row in batch]
    assert len(rows) == len(set(rows)) == count - left_out
    assert all(len(batch) == size for batch in batches[:-1])
    assert 2 <= len(batches[-1]) <= size


def test_a_last_batch_of_one_sample_is_left_out_in_training_only(tmp_path: Path) -> None:
    table = open_table([numbered(tmp_path / "t", 9)], KINDS)
    assert [len(batch) for batch in one_pass(table, 4)] == [4, 4]
    assert [len(batch.gray_B) for batch in table.in_order(4, CPU)] == [4, 4, 1]
    # Another sample is left out in another pass: none is lost for good.
    seen = {row for seed in range(12) for batch in one_pass(table, 4, seed) for row in batch}
    assert seen == set(range(9))


def test_a_table_of_one_sample_still_gives_a_batch(tmp_path: Path) -> None:
    assert one_pass(open_table([numbered(tmp_path / "t", 1)], KINDS), 8) == [[0]]


def test_the_order_depends_on_the_seed_alone_and_changes_from_pass_to_pass(tmp_path: Path) -> None:
    table = open_table([numbered(tmp_path / "t", 50)], KINDS)
    assert one_pass(table, 8) == one_pass(table, 8)
    assert one_pass(table, 8, seed=1) != one_pass(table, 8)
    rng = torch.Generator().manual_seed(0)
    first, second = ([rows_of(batch) for batch in table.batches(8, rng, CPU)] for _ in range(2))
    assert first != second
    assert first != [list(range(start, min(start + 8, 50))) for start in range(0, 50, 8)]


def test_writing_a_table_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, again = numbered(tmp_path / "a", 300), numbered(tmp_path / "b", 300)
    assert one.read_bytes() == again.read_bytes()
