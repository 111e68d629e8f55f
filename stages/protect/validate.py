"""Validate: a protected shard is read again from its final bytes and compared with its input, sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from schemas.config import Layout
from schemas.errors import RefusedInputError, SampleError, ValidationError
from schemas.records import Quarantined
from schemas.stats import Moments, psnr
from schemas.tasks import Task
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import same_layout
from stages.io.images.pixels import bound_of, has_alpha, peak_of
from stages.io.images.spill import KeptPixels, Pixels, kept_pixels
from stages.io.images.strips import strips
from stages.io.shards.declared import dropped_keys, exact_json, without
from stages.io.shards.layout import image_member, published_field
from stages.io.shards.names import OnStray
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Member, Sample


@dataclass
class Measured:
    """What the comparison of two shards measured."""

    samples: int = 0
    max_delta: int = 0
    """Largest |Δ| in levels of 255 (16-bit images: rounded up to such levels)."""
    psnr: Moments = field(default_factory=Moments)
    """dB, over samples."""
    delta: Moments = field(default_factory=Moments)
    """Mean |Δ| of each sample in levels of 255."""


class Change:
    """What protection changed in one image, over strips that are shown one after the other.

    Args:
        key: the sample, for messages.
        clean_HWC: the image as it was; only its layout matters.
        epsilon: ε in [0, 1] units.
    """

    def __init__(self, key: str, clean_HWC: Pixels, epsilon: float) -> None:
        self.key, self.colours = key, clean_HWC.shape[2] - has_alpha(clean_HWC)
        self.bound, self.level = bound_of(clean_HWC, epsilon), peak_of(clean_HWC) / 255
        self.faded, self.largest, self.values, self.total, self.squares = False, 0, 0, 0, 0

    def add(self, clean_HWC: Pixels, protected_HWC: Pixels) -> None:
        """One strip of both images."""
        change = protected_HWC.astype(np.int32) - clean_HWC.astype(np.int32)
        self.faded |= bool(change[:, :, self.colours :].any())
        size = np.abs(change[:, :, : self.colours])
        self.largest = max(self.largest, int(size.max()))
        self.values += size.size
        # Sums of integers, so that they do not depend on the strips.
        self.total += int(size.sum(dtype=np.int64))
        self.squares += int(np.square(size, dtype=np.int64).sum())

    def measured(self) -> tuple[int, float, float]:
        """(largest |Δ| in levels of 255, mean |Δ| in levels, mean squared error in levels²) of what was shown.

        Raises:
            SampleError: `out-of-bound`, `unchanged`; names the key and the value found.
        """
        if self.faded:
            raise SampleError("out-of-bound", "the alpha channel changed", key=self.key)
        if self.largest > self.bound:
            found = f"a pixel moved by {self.largest} levels; the bound is {self.bound}"
            raise SampleError("out-of-bound", found, key=self.key)
        if self.largest == 0:
            found = "the protected image is the input; too small, or ε too small"
            raise SampleError("unchanged", found, key=self.key)
        mean, squared = self.total / self.values / self.level, self.squares / self.values / self.level**2
        return int(np.ceil(self.largest / self.level)), mean, squared


def measure_change(
    key: str, clean_HWC: Pixels | KeptPixels, protected_HWC: Pixels, epsilon: float
) -> tuple[int, float, float]:
    """Check one image against the bound; what `Change.measured` gives.

    Raises:
        SampleError: `out-of-bound`, `unchanged`, `layout`; names the key and the value found.
    """
    if clean_HWC.shape != protected_HWC.shape or clean_HWC.dtype != protected_HWC.dtype:
        raise SampleError(
            "layout",
            f"the protected image is {protected_HWC.shape} {protected_HWC.dtype}, "
            f"the input {clean_HWC.shape} {clean_HWC.dtype}",
            key=key,
        )
    height, width, _ = clean_HWC.shape
    change = Change(key, clean_HWC[:1], epsilon)
    for rows in strips(height, height * width):
        change.add(clean_HWC[rows], protected_HWC[rows])
    return change.measured()


def validate_shard(
    source: Path,
    source_name: str,
    protected: Path,
    dataset: Layout,
    *,
    epsilon: float,
    encoding: str,
    tasks: Sequence[Task] = (),
) -> Measured:
    """Compare a protected shard with its input, both on the local disk.

    Every protected sample must have the key, the order and the members of its input, every other member byte for byte
    (dropped ones left out; JSON from which keys are dropped keeps its other values in their order), and an image within
    the bound and not unchanged, with the ending of `encoding`. Input samples may be missing (they were quarantined);
    nothing may be added.

    Returns:
        What was measured, over the protected samples.

    Raises:
        ValidationError: names the shard, the sample and what differs.
        RefusedInputError: as `image_member`; names the shard as well.
    """
    measured = Measured()
    inputs = (found for found in read_samples(source, source_name, dataset) if isinstance(found, Sample))
    for sample in _protected_samples(protected, source_name, dataset):
        original = next((candidate for candidate in inputs if candidate.key == sample.key), None)
        if original is None:
            raise ValidationError(f"sample {sample.key!r} is not in the input, or out of order", shard=source_name)
        try:
            clean = image_member(original, dataset, tasks)
            image = _compare_members(original, sample, clean, dataset, encoding)
            largest, mean, squared = _compare_images(sample.key, clean.data, image.data, dataset.max_pixels, epsilon)
        except (SampleError, ValidationError) as error:
            raise ValidationError(error.problem, shard=source_name, key=sample.key) from None
        except RefusedInputError as error:
            raise error.at(shard=source_name) from None
        measured.samples += 1
        measured.max_delta = max(measured.max_delta, largest)
        measured.psnr = measured.psnr.add(psnr(squared))
        measured.delta = measured.delta.add(mean)
    return measured


def _compare_images(
    key: str, clean: bytes, protected: bytes, max_pixels: int, epsilon: float
) -> tuple[int, float, float]:
    with kept_pixels(decode_image(clean, max_pixels=max_pixels).pixels) as decoded:
        again = same_layout(decode_image(protected, max_pixels=max_pixels).pixels, decoded.shape[2])
        return measure_change(key, decoded, again, epsilon)


def _protected_samples(path: Path, name: str, dataset: Layout) -> Iterator[Sample]:
    tar = name if name.lower().endswith(".tar") else f"{name}.tar"
    for found in read_samples(path, tar, dataset, refuse_strays(name)):
        if isinstance(found, Quarantined):
            raise ValidationError(found.problem, shard=name, key=found.key)
        yield found


def refuse_strays(shard: str) -> OnStray:
    """What refuses every member of a published shard that belongs to no sample."""

    def refuse(name: str) -> None:
        problem = f"member {name!r} belongs to no sample, and readers pass it by; publish the shard again"
        raise ValidationError(problem, shard=shard)

    return refuse


def _is_same(sample: Sample, before: Member, after: Member, dataset: Layout) -> bool:
    """Whether a member is its input's: in every byte, or in what remains where keys of its JSON are dropped."""
    names = dropped_keys(sample, before, dataset)
    if before.data == after.data and not names:
        return True
    return bool(names) and without(exact_json(before), names) == exact_json(after)


def _compare_members(original: Sample, protected: Sample, clean: Member, dataset: Layout, encoding: str) -> Member:
    """The protected image's member, after every other member was compared with the input's.

    Raises:
        ValidationError: names what differs; the caller adds shard and sample.
    """
    expected = [member for member in original.members if member is clean or dataset.members.get(member.field) != "drop"]
    if len(expected) != len(protected.members):
        raise ValidationError(
            f"it has members {[member.field for member in protected.members]}, "
            f"expected {[member.field for member in expected]}"
        )
    for before, after in zip(expected, protected.members, strict=True):
        if before is not clean and (before.field != after.field or not _is_same(original, before, after, dataset)):
            raise ValidationError(f"member {before.field!r} is not the input's")
    image = protected.members[expected.index(clean)]
    name = published_field(clean.field, encoding)
    if image.field != name:
        raise ValidationError(f"the image is named {image.field!r}, expected {name!r}")
    return image
