"""Tasks with a label per pixel: what is read, refused, moved, aimed at and measured."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from schemas.errors import SampleError
from schemas.plans import GeneratorSpec
from schemas.tasks import DepthTask, NormalsTask, SegmentationTask
from stages.io.shards.sample import Member, Sample
from stages.networks.pool import POOL, PoolNetwork
from stages.perturbers.codes import ClassCodes
from stages.tasks.depth import Depth
from stages.tasks.labels import labels_of
from stages.tasks.normals import Normals, angles_between
from stages.tasks.segmentation import Segmentation
from stages.tasks.task_kind import TaskKind
from stages.transforms.movement import Shift, Window

SIDE = 16
OUT, UNREADABLE = "label-out-of-range", "label-unreadable"


def segmentation(**more: Any) -> Segmentation:
    return Segmentation(SegmentationTask(**{"kind": "segmentation", "field": "mask.png", "classes": 3, **more}))


def depth(**more: Any) -> Depth:
    return Depth(DepthTask(**{"kind": "depth", "field": "depth.png", "high": 8, **more}))


def normals() -> Normals:
    return Normals(NormalsTask(kind="normals", field="normals.npy"))


def binary_masks() -> Segmentation:
    return Segmentation(SegmentationTask(kind="segmentation", field="mask.png", classes=2, ignore=254))


KINDS = [segmentation(), depth(low=0.5), normals()]


def png(values: np.ndarray, mode: str | None = None, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(values, mode).save(target, "PNG", **options)
    return target.getvalue()


def npy(values: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, values, allow_pickle=False)
    return target.getvalue()


def read(kind: TaskKind, data: bytes) -> Any:
    """The label of a sample whose member holds these bytes."""
    sample = Sample("s1", (Member("jpg", b"\xff"), Member(kind.task.field, data)))
    (label,) = labels_of(sample, [kind])
    return label


def random_labels(kind: TaskKind, count: int = 4, side: int = SIDE) -> torch.Tensor:
    """Labels as the trainer has them; the upper left corner is unknown."""
    rng = np.random.default_rng(0)
    raws: list[np.ndarray] = []
    for _ in range(count):
        if isinstance(kind, Segmentation):
            raws.append(rng.integers(0, 3, (side, side)).astype(np.uint8))
            raws[-1][:4, :4] = 255
        elif isinstance(kind, Depth):
            raws.append(rng.uniform(1, 7, (side, side)).astype(np.float32))
            raws[-1][:4, :4] = 0
        else:
            vectors = rng.normal(size=(side, side, 3))
            raws.append(vectors / np.linalg.norm(vectors, axis=2, keepdims=True))
            raws[-1][:4, :4] = 0
    cells = [kind.cell(kind.viewed(kind.label(raw), side)) for raw in raws]
    return torch.from_numpy(kind.stored(pa.array(cells, kind.column(side))).copy())


def unknown_of(kind: TaskKind, labels: torch.Tensor) -> torch.Tensor:
    """B×H×W bool."""
    return (
        labels == 255 if isinstance(kind, Segmentation) else (labels == 0 if labels.ndim == 3 else (labels == 0).all(1))
    )


# Reading


def test_masks_are_read_from_every_form_of_png_and_npy() -> None:
    mask = np.array([[0, 1, 2, 255], [2, 1, 0, 0]], np.uint8)
    palette = Image.fromarray(mask)
    palette.putpalette([value for index in range(256) for value in (index, 0, 255 - index)])
    target = io.BytesIO()
    palette.save(target, "PNG")
    forms = [
        png(mask),
        png(mask.astype(np.uint16)),
        target.getvalue(),
        npy(mask),
        npy(mask.astype(np.int64)),
        npy(mask.astype(np.float32)),
        npy(mask[..., None]),
    ]
    for form in forms:
        np.testing.assert_array_equal(read(segmentation(), form), mask)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits_are_not_stretched(bits: int) -> None:
    """Pillow shows the 3 of a 2-bit gray picture as 255."""
    mask = np.random.default_rng(0).integers(0, 2**bits, (5, 9)).astype(np.uint8)
    kind = segmentation(classes=2**bits)
    picture = Image.fromarray(mask)
    picture.putpalette([value for index in range(2**bits) for value in (index, index, index)])
    target = io.BytesIO()
    picture.save(target, "PNG", bits=bits)
    np.testing.assert_array_equal(read(kind, target.getvalue()), mask)
    np.testing.assert_array_equal(read(kind, gray_png(mask, bits)), mask)


def gray_png(values: np.ndarray, bits: int) -> bytes:
    """A gray PNG of 1, 2 or 4 bits, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape
    rows = b""
    for row in values:
        digits = "".join(f"{value:0{bits}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        rows += b"\0" + bytes(int(digits[start : start + 8], 2) for start in range(0, len(digits), 8))
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_depths_are_read_in_the_unit_of_the_task_and_outside_its_range_there_is_none() -> None:
    stored = np.array([[0, 499, 500, 8000, 8001]], np.uint16)
    found = read(depth(scale=0.001, low=0.5), png(stored))
    np.testing.assert_allclose(found, [[0, 0, 0.5, 8, 0]])
    np.testing.assert_allclose(read(depth(), npy(np.array([[1.5, 0, 9]], np.float16))), [[1.5, 0, 0]])


def test_normals_are_read_from_both_orders_and_from_colours() -> None:
    vectors = np.array([[[1, 0, 0], [0, -1, 0]], [[0, 0.6, -0.8], [0, 0, 0]]], np.float32)
    colours = np.rint(127.5 * (vectors + 1)).astype(np.uint8)
    for form in (npy(vectors), npy(vectors.transpose(2, 0, 1)), npy(vectors.astype(np.float16)), png(colours)):
        np.testing.assert_allclose(read(normals(), form), vectors, atol=0.01)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
def test_a_label_that_is_missing_or_knows_nothing_is_missing(kind: TaskKind) -> None:
    (label,) = labels_of(Sample("s1", (Member("jpg", b"\xff"),)), [kind])
    assert kind.is_missing(label)
    nothing = np.full((4, 4, 3) if isinstance(kind, Normals) else (4, 4), 255 if isinstance(kind, Segmentation) else 0)
    assert kind.is_missing(read(kind, npy(nothing.astype(np.float32))))
    assert kind.is_missing(kind.viewed(None, SIDE))
    full = random_labels(kind, 1)
    cells = pa.array([kind.cell(None), full[0].numpy().tobytes()], kind.column(SIDE))
    stored = torch.from_numpy(kind.stored(cells).copy())
    assert kind.known(stored).tolist() == [False, True]
    assert bool(unknown_of(kind, stored[:1]).all())
    torch.testing.assert_close(stored[1], full[0])


# Refusing


@pytest.mark.parametrize(
    ("kind", "data", "reason", "words"),
    [
        (segmentation(), npy(np.array([[0, 3]])), OUT, ["'mask.png' holds 3 at row 0, column 1", "0..2", "`classes`"]),
        (segmentation(), npy(np.array([[0, -1]])), OUT, ["-1", "set `ignore` (now 255)"]),
        (binary_masks(), npy(np.array([[0, 255]])), OUT, ["255 at row 0, column 1", "write 1 there", "`ignore: 255`"]),
        (segmentation(), npy(np.array([[0, 0.5]])), OUT, ["0.5 at row 0, column 1 (1 pixels)"]),
        (segmentation(), npy(np.array([[0, np.nan]])), OUT, ["nan at row 0, column 1"]),
        (segmentation(), png(np.zeros((2, 2, 3), np.uint8)), UNREADABLE, ["(2, 2, 3)", "no colours"]),
        (segmentation(), b"\xff\xd8\xff\xe0 a jpeg", UNREADABLE, ["a jpg image", "write it as PNG or npy"]),
        (segmentation(), b"cat", UNREADABLE, ["'cat'", "a mask"]),
        (segmentation(), png(np.zeros((9, 9), np.uint8))[:-20], "truncated-image", ["'mask.png'", "replace it"]),
        (depth(), npy(np.array([[1, np.nan]])), OUT, ["holds nan at row 0, column 1", "write 0"]),
        (depth(), npy(np.array([[1, -0.5], [-1, 2]])), OUT, ["holds -0.5", "(2 pixels)", "0..8"]),
        (depth(), npy(np.array([[np.inf, 1]])), OUT, ["holds inf"]),
        (depth(), png(np.array([[900, 1500]], np.uint16)), OUT, ["from 900 m on", "0.001 for millimetres"]),
        (depth(), npy(np.ones((2, 3, 2))), UNREADABLE, ["(2, 3, 2)"]),
        (normals(), npy(np.full((2, 2, 3), 0.4)), OUT, ["length 0.693 at row 0, column 0 (4 pixels)", "divide"]),
        (normals(), npy(np.full((2, 2, 3), np.nan)), OUT, ["of length nan"]),
        (normals(), npy(np.ones((2, 2))), UNREADABLE, ["(2, 2)", "H×W×3"]),
        (normals(), npy(np.ones((2, 2, 3), np.complex64)), UNREADABLE, ["complex64"]),
    ],
)
def test_a_wrong_label_names_field_place_value_and_remedy(
    kind: TaskKind, data: bytes, reason: str, words: list[str]
) -> None:
    with pytest.raises(SampleError) as raised:
        read(kind, data)
    assert raised.value.reason == reason
    assert raised.value.key == "s1"
    assert all(word in raised.value.message for word in [*words, repr(kind.task.name)]), raised.value.message


@pytest.mark.parametrize(
    ("there", "broken"),
    [
        (b"}", b"("),
        (b"<f4", b"<q9"),
        (b"(2, 2)", b"(2, 9999999999999)"),
        (b"'descr'", b"[[[]]]]"),
        (b"NUMPY", b"NUMPX"),
    ],
)
def test_a_damaged_npy_is_an_error_of_its_sample_whatever_numpy_makes_of_it(there: bytes, broken: bytes) -> None:
    data = npy(np.ones((2, 2), np.float32)).replace(there, broken)
    with pytest.raises(SampleError) as raised:
        read(Normals(NormalsTask(kind="normals", field="normals.npy")), data)
    assert raised.value.reason == UNREADABLE


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
def test_a_label_of_another_size_than_its_image_is_refused(kind: TaskKind) -> None:
    shape = (4, 6, 3) if isinstance(kind, Normals) else (4, 6)
    label = np.zeros(shape, np.float32)
    kind.check(label, 4, 6)
    with pytest.raises(SampleError, match=r"has 6×4 pixels, its image 4×6; make both the same size"):
        kind.check(label, 6, 4)


# Moving


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
def test_labels_move_with_the_image_and_what_comes_in_is_unknown(kind: TaskKind) -> None:
    labels = random_labels(kind, 16)
    places = torch.arange(1.0, SIDE * SIDE + 1).reshape(1, 1, SIDE, SIDE).expand(16, 1, SIDE, SIDE)
    movement = Shift.drawn(16, SIDE, ["crop"], torch.Generator().manual_seed(1))
    moved, where = kind.moved(labels, movement), movement.of(places)[:, 0].long()
    assert bool(unknown_of(kind, moved)[where == 0].all())
    assert (where == 0).any()
    for image, (row, column) in ((0, (8, 8)), (15, (3, 12))):
        source = int(where[image, row, column]) - 1
        torch.testing.assert_close(
            moved[image, ..., row, column], labels[image, ..., source // SIDE, source % SIDE], rtol=0, atol=0
        )


def test_a_flip_negates_the_x_of_normals_and_only_that() -> None:
    labels = random_labels(normals())
    flipped = normals().moved(labels, Shift(torch.tensor([True, False, True, False]), 0))
    torch.testing.assert_close(flipped[0, 0], -labels[0, 0].flip(1), rtol=0, atol=0)
    torch.testing.assert_close(flipped[0, 1:], labels[0, 1:].flip(2), rtol=0, atol=0)
    torch.testing.assert_close(flipped[1], labels[1], rtol=0, atol=0)
    assert flipped.dtype == labels.dtype
    for kind in (segmentation(), depth()):
        mirrored = kind.moved(random_labels(kind), Shift(torch.tensor([True] * 4), 0))
        torch.testing.assert_close(mirrored, random_labels(kind).flip(2), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
def test_labels_follow_a_window_that_is_resized_to_the_whole(kind: TaskKind) -> None:
    labels = random_labels(kind)
    window = Window(
        torch.tensor([0.5, 0.5, 1.0, 0.5]), torch.tensor([[-0.5, -0.5], [0.5, 0.5], [0.0, 0.0], [0.5, -0.5]])
    )
    moved = kind.moved(labels, window)
    nearer = 0.5 if isinstance(kind, Depth) else 1
    half = SIDE // 2
    for image, (top, left) in ((0, (0, 0)), (1, (half, half)), (3, (0, half))):
        corner = labels[image, ..., top : top + half, left : left + half]
        whole = corner.repeat_interleave(2, -1).repeat_interleave(2, -2)
        torch.testing.assert_close(moved[image], (whole * nearer).to(labels.dtype), rtol=0, atol=0)
    torch.testing.assert_close(moved[2], labels[2], rtol=0, atol=0)
    places = torch.arange(SIDE, dtype=torch.float32).expand(4, 1, SIDE, SIDE)
    seen = window.of(places)
    assert float(seen[0].max()) == pytest.approx(half - 0.75)
    assert float(seen[1].min()) == pytest.approx(half - 0.25)


def test_resizing_never_mixes_labels() -> None:
    mask = np.random.default_rng(0).integers(0, 3, (37, 53)).astype(np.uint8)
    seen = segmentation().viewed(mask, 20)
    assert seen is not None
    assert seen.shape == (20, 20)
    assert set(np.unique(seen)) <= {0, 1, 2}
    np.testing.assert_array_equal(
        segmentation().viewed(np.repeat(np.repeat(mask[:9, :9], 4, 0), 4, 1), 9), mask[:9, :9]
    )


# Losses and targets


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
def test_unknown_pixels_have_no_part_in_the_loss(kind: TaskKind) -> None:
    labels = random_labels(kind)
    output = torch.randn(4, kind.outputs, SIDE, SIDE, generator=torch.Generator().manual_seed(0), requires_grad=True)  # type: ignore[attr-defined]
    loss = kind.loss(output, labels)
    assert loss is not None
    (gradient,) = torch.autograd.grad(loss, output)
    assert not gradient[:, :, :4, :4].any()
    assert bool(gradient[:, :, 4:, 4:].any())
    nothing = torch.full_like(labels, 255 if isinstance(kind, Segmentation) else 0)
    assert kind.loss(output, nothing) is None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
def test_a_head_learns_its_labels_and_scores_beyond_chance(kind: TaskKind) -> None:
    labels = random_labels(kind, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = kind.head(12)
    maps = kind.planes_of(labels)  # type: ignore[attr-defined]
    maps = torch.cat([maps, torch.zeros(8, 12 - maps.shape[1], SIDE, SIDE)], dim=1)
    adam = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(40):
        loss = kind.loss(head(maps), labels)
        assert loss is not None
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        predicted = kind.predicted(head.eval()(maps)).numpy()
    scores, chance = kind.scores(predicted, labels.numpy()), kind.chance(labels.numpy())
    assert [metric.name for metric in kind.metrics] == list(scores) == list(chance)
    assert all(metric.advantage(scores[metric.name], chance[metric.name]) > 0.05 for metric in kind.metrics)


def test_targets_are_shifted_mirrored_and_opposite_and_unknown_stays_unknown() -> None:
    for kind in KINDS:
        labels = random_labels(kind)
        target = kind.target(labels)
        assert target.dtype == labels.dtype
        torch.testing.assert_close(unknown_of(kind, target), unknown_of(kind, labels))
    masks, depths, vectors = (random_labels(kind) for kind in KINDS)
    assert bool((segmentation().target(masks) != masks)[masks != 255].all())
    mirrored = depth(low=0.5).target(depths)
    sums = (mirrored + depths)[depths > 0].float()
    torch.testing.assert_close(sums, torch.full_like(sums, 8.5), atol=0.02, rtol=0)
    torch.testing.assert_close(normals().target(vectors), -vectors)


def test_the_farthest_depth_keeps_a_target() -> None:
    assert depth().target(torch.tensor([[[8.0]]])).item() > 0


# Metrics


def test_scores_of_masks_worked_out_by_hand() -> None:
    labels = np.array([[[0, 0, 1, 255]]], np.uint8)
    scores = segmentation().scores(np.array([[[0, 1, 1, 2]]], np.uint8), labels)
    # Class 0: 1 of 2; class 1: 1 of 2; class 2 occurs nowhere that counts.
    assert scores == pytest.approx({"mean_iou": 0.5, "pixel_accuracy": 2 / 3})
    assert segmentation().chance(labels) == pytest.approx({"mean_iou": (2 / 3 + 0) / 2, "pixel_accuracy": 2 / 3})


def test_scores_of_masks_are_those_of_counting_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    for classes in (2, 5, 12):
        labels = rng.choice([*range(classes - 1), 255], (3, 8, 8)).astype(np.uint8)
        predicted = rng.integers(max(1, classes - 1), size=labels.shape).astype(np.uint8)
        pairs = [pair for pair in zip(predicted.flat, labels.flat, strict=True) if pair[1] != 255]
        shares = []
        for number in range(classes):
            either = sum(number in pair for pair in pairs)
            if either:
                shares.append(pairs.count((number, number)) / either)
        expected = {"mean_iou": np.mean(shares), "pixel_accuracy": np.mean([found == true for found, true in pairs])}
        kind = Segmentation(SegmentationTask(kind="segmentation", field="mask.png", classes=classes))
        assert kind.scores(predicted, labels) == pytest.approx(expected, rel=1e-6)


def test_scores_of_depths_are_those_of_counting_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((3, 8, 8)) < 0.2, 0, rng.uniform(0.5, 8, (3, 8, 8))).astype(np.float16)
    predicted = rng.uniform(0.5, 8, labels.shape).astype(np.float32)
    pairs = [(float(found), float(true)) for found, true in zip(predicted.flat, labels.flat, strict=True) if true]
    expected = {
        "absolute_error": np.mean([abs(found - true) for found, true in pairs]),
        "relative_error": np.mean([abs(found - true) / true for found, true in pairs]),
    }
    assert depth().scores(predicted, labels) == pytest.approx(expected, rel=1e-5)


def test_scores_of_depths_worked_out_by_hand() -> None:
    labels = np.array([[[1, 2, 4, 0]]], np.float16)
    scores = depth().scores(np.array([[[2, 2, 2, 7]]], np.float32), labels)
    assert scores == pytest.approx({"absolute_error": 1, "relative_error": (1 + 0 + 0.5) / 3})
    chance = depth().chance(labels)
    assert chance["absolute_error"] == pytest.approx(1)
    assert chance["relative_error"] == pytest.approx((0 + 0.5 + 0.75) / 3)  # 1 m everywhere


def test_no_single_depth_beats_the_chance_line() -> None:
    labels = random_labels(depth()).numpy()
    chance = depth().chance(labels)
    for guess in np.linspace(0.5, 7.5, 29):
        scores = depth().scores(np.full(labels.shape, guess), labels)
        assert all(scores[name] >= chance[name] - 1e-3 for name in chance)


def test_scores_of_normals_worked_out_by_hand() -> None:
    labels = np.zeros((1, 3, 1, 4), np.int8)
    labels[0, :, 0, :3] = np.array([[127, 0, 0], [0, 127, 0], [0, 0, 127]]).T
    found = np.zeros((1, 3, 1, 4), np.float32)
    found[0, :, 0, :] = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0], [1, 1, 1]]).T
    scores = normals().scores(found, labels)
    expected = {"mean_angle": 45, "median_angle": 45, "within_11.25": 1 / 3, "within_22.5": 1 / 3, "within_30": 1 / 3}
    assert scores == pytest.approx(expected)
    assert normals().chance(labels)["mean_angle"] == pytest.approx(np.degrees(np.arccos(3**-0.5)))
    assert angles_between(np.zeros(3), np.ones(3)) == pytest.approx(90)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
def test_without_any_label_nothing_is_scored(kind: TaskKind) -> None:
    nothing = np.full_like(random_labels(kind).numpy(), 255 if isinstance(kind, Segmentation) else 0)
    scores, chance = kind.scores(nothing, nothing), kind.chance(nothing)
    assert all(metric.advantage(scores[metric.name], chance[metric.name]) == 0 for metric in kind.metrics)


# What makes δ


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.task.kind)
@pytest.mark.parametrize("side", [16, 20])
def test_embeddings_and_codes_show_labels_and_are_neutral_where_there_is_none(kind: TaskKind, side: int) -> None:
    labels = random_labels(kind, 3, side)
    nothing = torch.full_like(labels, 255 if isinstance(kind, Segmentation) else 0)
    for embedding, shape in ((kind.embedding(5, side // 2), (5, side // 2)), (kind.codes(3, side), (3, side))):
        maps = embedding(labels)
        assert maps.shape == (3, shape[0], shape[1], shape[1])
        assert not torch.equal(maps[0], maps[1])
        torch.testing.assert_close(embedding(nothing), embedding.neutral(3), rtol=1e-4, atol=1e-5)
        assert embedding.table is None
    examples = kind.examples(4, side)
    assert examples.shape == kind.examples(2, side)[:1].expand(4, *labels.shape[1:]).shape
    assert len({bytes(example.contiguous().numpy().tobytes()) for example in examples}) > 1


def test_a_class_has_the_same_texture_wherever_it_lies() -> None:
    kind = segmentation()
    codes = kind.codes(3, 16)
    left = torch.full((1, 16, 16), 1, dtype=torch.uint8)
    left[:, :, :8] = 2
    delta, swapped = codes(left), codes(left.flip(2))
    torch.testing.assert_close(delta[..., :8], swapped[..., 8:])
    whole = delta[..., :8, :8].mean(dim=(2, 3))
    torch.testing.assert_close(whole, torch.zeros_like(whole), rtol=0, atol=1e-5, msg="a texture is no tint")


def test_codes_of_several_dense_tasks_have_pixels_of_their_own() -> None:
    tasks, labels = [kind.task for kind in KINDS], [random_labels(kind) for kind in KINDS]
    others = [kind.moved(label, Shift(torch.tensor([True] * 4), 0)) for kind, label in zip(KINDS, labels, strict=True)]
    x, gray = torch.zeros(4, 3, SIDE, SIDE), torch.zeros(4, dtype=torch.bool)
    spec = GeneratorSpec(network="codes", resolution=SIDE, epsilon=8 / 255, tasks=tasks, protected=[True] * 3)
    codes = ClassCodes(spec)
    changed = []
    for number in range(3):
        given = [others[k] if k == number else labels[k] for k in range(3)]
        changed.append((codes(x, given, gray) != codes(x, labels, gray)).any(dim=1).any(dim=0))
    assert all(pixels.any() for pixels in changed)
    assert int(torch.stack(changed).sum(dim=0).max()) == 1, "a pixel belongs to one of them"
    alone = ClassCodes(spec.model_copy(update={"protected": [True, False, False]}))
    assert (alone(x, labels, gray) != 0).any(dim=1).all(), "a task alone has every pixel"


@pytest.mark.parametrize("name", POOL)
def test_codes_of_dense_tasks_are_learned_against_fine_maps(name: str) -> None:
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    network = PoolNetwork(name, KINDS)
    assert min(network.maps(x).shape[2:]) >= 6
    assert [tuple(output.shape) for output in network(x)] == [(2, kind.outputs, 24, 24) for kind in KINDS]


def test_a_head_without_bias_says_nothing_of_zeros() -> None:
    for kind in KINDS:
        assert not kind.head(3, bias=False)(torch.zeros(1, 3, 16, 16)).any()
