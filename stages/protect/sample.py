"""One sample: its image perturbed, measured, encoded and decoded again, and put between its other members."""

from __future__ import annotations

from schemas.errors import ValidationError
from schemas.plans import ProtectPlan
from stages.ingest.ingest import ReadSample
from stages.io.images.encoding import check_encoded, encode_image
from stages.io.images.spill import LARGE_PIXELS, Pixels
from stages.io.shards.layout import images_among, published_members
from stages.io.shards.sample import Member, Sample
from stages.protect.deltas import Delta
from stages.protect.perturb import (
    SHIFTED_PIXELS,
    Change,
    Shifts,
    add_perturbation,
    measure_change,
    perturbed_strips,
    shifted,
)
from stages.protect.validate import compare_members

READERS_DECODER = 32
"""One in so many encoded images is also decoded by Pillow: the first, the 33rd and so on; large ones are not."""

Measure = tuple[int, float, float]
"""What `Change.measured` gives."""


class SampleMaker:
    """Makes the protected twins of samples, one by one.

    Args:
        plan: ε, encoding, members.
        epsilon: the perturber's ε in [0, 1] units; what moves a pixel beyond the plan's is refused.
    """

    def __init__(self, plan: ProtectPlan, epsilon: float) -> None:
        self.plan = plan
        self.shifts = Shifts(epsilon)
        self.encoded = 0

    def make(self, whole: list[ReadSample], delta: Delta) -> tuple[list[tuple[str, bytes]], Measure]:
        """Names and bytes of the members that are published, and what protection changed in the image.

        Args:
            whole: the sample alone in a list, which is emptied: a large image must not be held from outside.
            delta: of this sample.

        Raises:
            SampleError: `out-of-bound`, `unchanged`, or what `encode_image` refuses.
            RefusedInputError: as `published_members`.
            ValidationError: the encoded image shows other pixels, or a member is not the input's; the caller adds shard
                and key.
        """
        sample, plan = whole.pop(), self.plan
        change, protected_HWC = self._perturbed(sample.sample.key, sample.image.pixels, delta)
        image = encode_image(protected_HWC, plan.encoding)
        small = protected_HWC.shape[0] * protected_HWC.shape[1] < LARGE_PIXELS
        again = small and self.encoded % READERS_DECODER == 0
        check_encoded(image, protected_HWC, plan.encoding, with_readers_decoder=again)
        self.encoded += 1
        members = published_members(sample.sample, plan.layout, image, plan.encoding, plan.tasks)
        self._compare(sample.sample, members, image)
        return members, change

    def _perturbed(self, key: str, pixels_HWC: Pixels, delta: Delta) -> tuple[Measure, Pixels]:
        """What changed, and the protected image; a large one takes the place of its input."""
        epsilon = self.shifts.epsilon
        if pixels_HWC.shape[0] * pixels_HWC.shape[1] >= SHIFTED_PIXELS:
            change = Change(key, pixels_HWC, self.plan.epsilon)
            for columns, strip_HwC in perturbed_strips(pixels_HWC, delta.values_CRR, epsilon):
                change.add(pixels_HWC[:, columns], strip_HwC)
                pixels_HWC[:, columns] = strip_HwC
            return change.measured(), pixels_HWC
        if delta.name is None:
            protected_HWC = add_perturbation(pixels_HWC, delta.values_CRR, epsilon)
        else:
            protected_HWC = shifted(pixels_HWC, self.shifts.of(pixels_HWC, delta.values_CRR, delta.name))
        return measure_change(key, pixels_HWC, protected_HWC, self.plan.epsilon), protected_HWC

    def _compare(self, original: Sample, members: list[tuple[str, bytes]], image: bytes) -> None:
        """Compare what is published with the input: names, order, and every member that is not the image."""
        prefix = f"{original.key}."
        published = Sample(original.key, tuple(Member(name.removeprefix(prefix), data) for name, data in members))
        clean = images_among(original, self.plan.layout)[0]
        if compare_members(original, published, clean, self.plan.layout, self.plan.encoding).data is not image:
            raise ValidationError("the image is not the one that was encoded")
