"""The validator can fail: each way in which a protected shard may be wrong is refused by shard and sample."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.dataset import Layout
from schemas.errors import MtlueError, SampleError, ValidationError
from schemas.plans import ProtectPlan
from schemas.tasks import Task
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import encode_image
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Member, Sample
from stages.protect.perturb import measure_change
from stages.protect.protect import write_protected
from stages.protect.validate import validate_shard
from tests import builders

EPSILON = 8 / 255
Tamper = Callable[[list[Sample]], list[Sample]]


def plan() -> ProtectPlan:
    return ProtectPlan(
        layout=Layout(image="jpg;png;webp", members={"npy": "drop", "mask.png": "keep"}),
        tasks=[Task(field="cls", classes=3)],
        epsilon=EPSILON,
        encoding="png",
        on_error="quarantine",
        generator="",
    )


def clean_pixels(number: int) -> np.ndarray:
    return builders.picture(number, 18, 22, 4)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sample], Layout]:
    """An input of four RGBA samples, the samples of its protected twin, and how they are laid out."""
    root = tmp_path_factory.mktemp("shards")
    samples: list[builders.BuiltSample] = [
        (
            f"k{number}",
            [
                ("cls", b"1"),
                ("png", builders.png(clean_pixels(number))),
                ("mask.png", builders.png(builders.picture(9, 4, 4, 1))),
                ("npy", b"\0\1"),
                ("txt", f"caption {number}".encode()),
            ],
        )
        for number in range(4)
    ]
    source = builders.write_shard(root / "in.tar", samples)
    target, given = root / "out.tar", plan()
    perturber = builders.perturber(class_counts=[3], protected=[True])
    written = write_protected(source, "in.tar", target, given, perturber)
    assert written.samples == 4
    found = [sample for sample in read_samples(target, "out.tar", given.layout) if isinstance(sample, Sample)]
    return source, found, given.layout


def rewritten(path: Path, samples: list[Sample]) -> Path:
    return builders.write_shard(
        path, [(sample.key, [(member.field, member.data) for member in sample.members]) for sample in samples]
    )


def changed(samples: list[Sample], field: str, data: Callable[[bytes], bytes], number: int = 2) -> list[Sample]:
    """The samples with one member of sample `number` replaced."""
    members = tuple(
        Member(member.field, data(member.data)) if member.field == field else member
        for member in samples[number].members
    )
    return [*samples[:number], replace(samples[number], members=members), *samples[number + 1 :]]


def repainted(change: Callable[[np.ndarray], np.ndarray]) -> Tamper:
    def tamper(samples: list[Sample]) -> list[Sample]:
        return changed(
            samples, "png", lambda data: encode_image(change(decode_image(data, max_pixels=9999).pixels.copy()), "png")
        )

    return tamper


def nudged(pixels: np.ndarray) -> np.ndarray:
    """One channel of one pixel 9 levels from the input, where 8 are allowed."""
    pixels[7, 3, 1] = clean_pixels(2)[7, 3, 1] + 9
    return pixels


def faded(pixels: np.ndarray) -> np.ndarray:
    pixels[0, 0, 3] ^= 1
    return pixels


def another(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([clean_pixels(3)[..., :3], pixels[..., 3:]])


def without(samples: list[Sample], field: str) -> list[Sample]:
    members = tuple(member for member in samples[2].members if member.field != field)
    return [*samples[:2], replace(samples[2], members=members), *samples[3:]]


def added(samples: list[Sample], member: Member) -> list[Sample]:
    return [*samples[:2], replace(samples[2], members=(*samples[2].members, member)), *samples[3:]]


TAMPERED: dict[str, tuple[Tamper, str]] = {
    "one pixel beyond the bound": (repainted(nudged), r"moved by 9 levels; the bound is 8"),
    "the input's own image": (repainted(lambda pixels: clean_pixels(2)), r"is the input"),
    "another sample's image": (repainted(another), r"the bound is 8"),
    "another alpha": (repainted(faded), r"alpha channel changed"),
    "alpha lost": (repainted(lambda pixels: pixels[..., :3]), r"alpha channel changed"),
    "a smaller image": (repainted(lambda pixels: pixels[1:]), r"\(17, 22, 4\)"),
    "a turned image": (repainted(lambda pixels: pixels.transpose(1, 0, 2)), r"\(22, 18, 4\)"),
    "a deeper image": (repainted(lambda pixels: pixels.astype(np.uint16) * 257), r"uint16"),
    "a broken image": (
        lambda samples: changed(samples, "png", lambda data: data[:-40]),
        r"'k2': the png image .* ends early",
    ),
    "another label": (lambda samples: changed(samples, "cls", lambda data: b"2"), r"member 'cls' is not the input's"),
    "another text": (lambda samples: changed(samples, "txt", lambda data: data + b"\n"), r"'txt' is not the input's"),
    "another mask": (
        lambda samples: changed(samples, "mask.png", lambda data: builders.png(builders.picture(8, 4, 4, 1))),
        r"'mask\.png' is not the input's",
    ),
    "a member missing": (lambda samples: without(samples, "txt"), r"has members .*expected .*'txt'"),
    "the image missing": (lambda samples: without(samples, "png"), r"has members"),
    "a member more": (lambda samples: added(samples, Member("note", b"!")), r"has members .*'note'"),
    "the dropped member": (lambda samples: added(samples, Member("npy", b"\0\1")), r"has members .*'npy'"),
    "members in another order": (
        lambda samples: [*samples[:2], replace(samples[2], members=samples[2].members[::-1]), samples[3]],
        r"is not the input's",
    ),
    "a sample more": (
        lambda samples: [*samples, replace(samples[0], key="k2-again")],
        r"'k2-again' is not in the input, or out of order",
    ),
    "samples in another order": (
        lambda samples: [samples[0], samples[1], samples[3], samples[2]],
        r"'k2' is not in the input, or out of order",
    ),
    "the same sample twice": (lambda samples: [*samples[:3], samples[2], samples[3]], r"'k2'"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_shard_is_refused_by_shard_and_sample(
    what: str, shards: tuple[Path, list[Sample], Layout], tmp_path: Path
) -> None:
    source, samples, dataset = shards
    tamper, message = TAMPERED[what]
    wrong = rewritten(tmp_path / "out.tar", tamper(samples))
    with pytest.raises(ValidationError, match=message) as caught:
        validate_shard(source, "in.tar", wrong, dataset, epsilon=EPSILON, encoding="png")
    assert "shard in.tar" in caught.value.message
    assert "'k2" in caught.value.message


def test_the_untampered_shard_passes_and_is_measured(shards: tuple[Path, list[Sample], Layout], tmp_path: Path) -> None:
    source, samples, dataset = shards
    measured = validate_shard(
        source, "in.tar", rewritten(tmp_path / "out.tar", samples), dataset, epsilon=EPSILON, encoding="png"
    )
    changes = []
    for number, sample in enumerate(samples):
        image = next(member.data for member in sample.members if member.field == "png")
        protected = np.array(Image.open(io.BytesIO(image))).astype(float)
        changes.append((protected - clean_pixels(number))[..., :3])
    assert measured.samples == measured.delta.count == measured.psnr.count == 4
    assert measured.max_delta == max(np.abs(change).max() for change in changes)
    assert measured.delta.mean == pytest.approx(np.mean([np.abs(change).mean() for change in changes]))
    decibels = [10 * np.log10(255**2 / np.square(change).mean()) for change in changes]
    assert measured.psnr.mean == pytest.approx(np.mean(decibels))
    assert measured.psnr.minimum == pytest.approx(min(decibels))


def test_keys_that_are_dropped_are_not_published_and_the_rest_is_compared(tmp_path: Path) -> None:
    text = b'{"url": "https://example.org/17", "a": 1.50, "meta": {"exif": {"x": 1}, "iso": 100}}'
    members = [("png", builders.png(clean_pixels(0))), ("cls", b"1"), ("json", text)]
    source = builders.write_shard(tmp_path / "in.tar", [("k2", members)])
    layout = Layout(image="png", members={"json": "keep", "json.url": "drop", "json.meta.exif": "drop"})
    target, given = tmp_path / "out.tar", plan().model_copy(update={"layout": layout})
    write_protected(source, "in.tar", target, given, builders.perturber(class_counts=[3], protected=[True]))
    (sample,) = [each for each in read_samples(target, "out.tar", layout) if isinstance(each, Sample)]
    assert sample.members[2] == Member("json", b'{"a":1.50,"meta":{"iso":100}}')

    def check(data: bytes) -> None:
        changed = replace(sample, members=(*sample.members[:2], Member("json", data)))
        validate_shard(
            source, "in.tar", rewritten(tmp_path / "x.tar", [changed]), layout, epsilon=EPSILON, encoding="png"
        )

    check(b'{"a": 1.50, "meta": {"iso": 100}}')
    for wrong in (text, b'{"a":1.5,"meta":{"iso":100}}', b'{"meta":{"iso":100},"a":1.50}', b'{"a":1.50}', b"{"):
        with pytest.raises(ValidationError, match=r"shard in.tar: sample 'k2': member 'json' is"):
            check(wrong)


def test_an_image_under_another_name_than_its_encoding_is_refused(
    shards: tuple[Path, list[Sample], Layout], tmp_path: Path
) -> None:
    source, samples, dataset = shards
    with pytest.raises(ValidationError, match=r"shard in\.tar: sample '.*the image is named 'png', expected 'webp'"):
        validate_shard(
            source, "in.tar", rewritten(tmp_path / "out.tar", samples), dataset, epsilon=EPSILON, encoding="webp"
        )


def test_a_quarantined_sample_may_be_missing(shards: tuple[Path, list[Sample], Layout], tmp_path: Path) -> None:
    source, samples, dataset = shards
    fewer = rewritten(tmp_path / "out.tar", [samples[0], samples[3]])
    assert validate_shard(source, "in.tar", fewer, dataset, epsilon=EPSILON, encoding="png").samples == 2


def test_a_smaller_epsilon_refuses_what_a_larger_one_allows(
    shards: tuple[Path, list[Sample], Layout], tmp_path: Path
) -> None:
    source, samples, dataset = shards
    with pytest.raises(ValidationError, match=r"moved by 8 levels; the bound is 7"):
        validate_shard(
            source, "in.tar", rewritten(tmp_path / "out.tar", samples), dataset, epsilon=7 / 255, encoding="png"
        )


@pytest.mark.parametrize("keep", [0, 511, 3000, -1024])
def test_a_cut_shard_is_refused(keep: int, shards: tuple[Path, list[Sample], Layout], tmp_path: Path) -> None:
    source, samples, dataset = shards
    path = rewritten(tmp_path / "out.tar", samples)
    data = path.read_bytes().rstrip(b"\0") if keep < 0 else path.read_bytes()[:keep]
    path.write_bytes(data)
    with pytest.raises(MtlueError, match=r"in\.tar"):
        validate_shard(source, "in.tar", path, dataset, epsilon=EPSILON, encoding="png")


def refusal(clean: np.ndarray, protected: np.ndarray) -> str:
    with pytest.raises(SampleError) as caught:
        measure_change("k", clean, protected, EPSILON)
    assert "'k'" in caught.value.message
    return caught.value.reason


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_bound_is_exact_in_both_directions_and_depths(dtype: type, sign: int) -> None:
    bound = 8 if dtype == np.uint8 else 8 * 257
    clean = np.full((3, 5, 3), 100 if dtype == np.uint8 else 30_000, dtype)
    protected = clean.copy()
    protected[1, 4, 2] = int(clean[1, 4, 2]) + sign * bound
    largest, mean, squared = measure_change("k", clean, protected, EPSILON)
    assert largest == 8
    assert mean == pytest.approx(8 / 45)
    assert squared == pytest.approx(64 / 45)
    protected[1, 4, 2] = int(protected[1, 4, 2]) + sign
    assert refusal(clean, protected) == "out-of-bound"


def test_a_change_across_the_whole_range_does_not_wrap_around() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert refusal(black, white) == refusal(white, black) == "out-of-bound"


def test_a_change_of_alpha_alone_counts_as_unchanged_colours_or_worse() -> None:
    clean = builders.picture(0, 4, 4, 2)
    assert refusal(clean, clean.copy()) == "unchanged"
    faded_copy = clean.copy()
    faded_copy[0, 0, 1] += 1
    assert refusal(clean, faded_copy) == "out-of-bound"


def test_other_shapes_and_types_are_another_layout() -> None:
    clean = builders.picture(0, 4, 5, 3)
    for other in (clean[:3], clean[..., :1], clean.astype(np.uint16), clean.transpose(1, 0, 2)):
        assert refusal(clean, other) == "layout"
