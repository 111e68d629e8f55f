"""Validate: a protected shard is read again from its final bytes and compared with its input, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.dataset import Layout
from schemas.errors import RefusedInputError, SampleError, ValidationError
from schemas.stats import Moments, psnr
from schemas.tasks import Task
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import same_layout
from stages.io.images.spill import kept_pixels
from stages.io.shards.declared import dropped_keys, exact_json, without
from stages.io.shards.layout import image_member, published_field
from stages.io.shards.originals.copies import refuse_copies
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Member, Sample
from stages.protect.perturb import measure_change
from stages.protect.reread import protected_samples
from stages.tasks.kinds import column_values, kinds_of
from stages.tasks.labels import labels_of


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

    def add(self, change: tuple[int, float, float]) -> None:
        """One sample: what `Change.measured` gave."""
        largest, mean, squared = change
        self.samples += 1
        self.max_delta = max(self.max_delta, largest)
        self.psnr = self.psnr.add(psnr(squared))
        self.delta = self.delta.add(mean)


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

    Every protected sample must have the key, the order and the members of its input. Its image must have changed,
    within the bound, and have the ending of `encoding`. Every other member must be the same bytes. Dropped members are
    left out; JSON from which keys are dropped keeps its other values in their order. Input samples may be missing (they
    were quarantined); nothing may be added. Columns of labels in a table must say what the
    input says.

    Returns:
        What was measured, over the protected samples.

    Raises:
        ValidationError: names the shard, the sample and what differs.
        RefusedInputError: as `image_member`; names the shard as well.
    """
    measured = Measured()
    inputs = (found for found in read_samples(source, source_name, dataset) if isinstance(found, Sample))
    for sample in protected_samples(protected, source_name, dataset):
        original = next((candidate for candidate in inputs if candidate.key == sample.key), None)
        if original is None:
            raise ValidationError(f"sample {sample.key!r} is not in the input, or out of order", shard=source_name)
        try:
            clean = image_member(original, dataset, tasks)
            image = compare_members(original, sample, clean, dataset, encoding)
            _compare_labels(original, sample, tasks)
            change = _compare_images(original, clean, image.data, dataset, epsilon)
        except (SampleError, ValidationError) as error:
            raise ValidationError(error.problem, shard=source_name, key=sample.key) from None
        except RefusedInputError as error:
            raise error.at(shard=source_name) from None
        measured.add(change)
    return measured


def _compare_images(
    original: Sample, clean: Member, protected: bytes, dataset: Layout, epsilon: float
) -> tuple[int, float, float]:
    pixels = decode_image(clean.data, max_pixels=dataset.max_pixels).pixels
    refuse_copies(original, clean, pixels, dataset)
    with kept_pixels(pixels) as decoded:
        del pixels  # a large image is on the disk now
        again = same_layout(decode_image(protected, max_pixels=dataset.max_pixels).pixels, decoded.shape[2])
        return measure_change(original.key, decoded, again, epsilon)


def _compare_labels(original: Sample, protected: Sample, tasks: Sequence[Task]) -> None:
    """Refuse columns of labels that say something else than the members of the input do."""
    kinds = kinds_of(tasks)
    values = [value for _, value in original.labels] or column_values(kinds, labels_of(original, kinds))
    if protected.labels and [value for _, value in protected.labels] != values:
        raise ValidationError(f"its columns of labels are {dict(protected.labels)}, the input's labels are {values}")


def _is_same(sample: Sample, before: Member, after: Member, dataset: Layout) -> bool:
    """Whether a member is its input's: in every byte, or in what remains where keys of its JSON are dropped."""
    names = dropped_keys(sample, before, dataset)
    if before.data == after.data and not names:
        return True
    return bool(names) and without(exact_json(before), names) == exact_json(after)


def compare_members(original: Sample, protected: Sample, clean: Member, dataset: Layout, encoding: str) -> Member:
    """The protected image's member, after every other member was compared with the input's.

    Raises:
        ValidationError: names what differs; the caller adds shard and sample.
    """
    expected = [member for member in original.members if member is clean or dataset.members.get(member.field) != "drop"]
    name = published_field(clean.field, encoding)
    if protected.image is not None:  # the members of a table's row stand in the order of its columns
        places = {member.field: place for place, member in enumerate(protected.members)}
        expected.sort(key=lambda member: places.get(name if member is clean else member.field, len(places)))
    if len(expected) != len(protected.members):
        raise ValidationError(
            f"it has members {[member.field for member in protected.members]}, "
            f"expected {[member.field for member in expected]}"
        )
    for before, after in zip(expected, protected.members, strict=True):
        if before is not clean and (before.field != after.field or not _is_same(original, before, after, dataset)):
            raise ValidationError(f"member {before.field!r} is not the input's")
    image = protected.members[expected.index(clean)]
    if image.field != name:
        raise ValidationError(f"the image is named {image.field!r}, expected {name!r}")
    return image
