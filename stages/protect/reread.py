"""Reading a protected shard again from its final bytes: its samples, and the receipt of what was written."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from isal import isal_zlib

from schemas.dataset import Layout
from schemas.errors import ValidationError
from schemas.records import Quarantined
from stages.io.shards.reading import read_samples
from stages.io.shards.sample import Label, NamedBytes, OnStray, Sample
from stages.io.shards.writing import local_name


def protected_samples(path: Path, shard: str, layout: Layout) -> Iterator[Sample]:
    """Stream a protected shard; memory is constant.

    Args:
        path: on the local disk; its ending tells the format.
        shard: name of its input.
        layout: of its input.

    Raises:
        ValidationError: something in it is no sample.
    """
    for found in read_samples(path, local_name(shard, path), layout, refuse_strays(shard)):
        if isinstance(found, Quarantined):
            raise ValidationError(found.problem, shard=shard, key=found.key)
        yield found


def refuse_strays(shard: str) -> OnStray:
    """What refuses every member of a published shard that belongs to no sample."""

    def refuse(name: str) -> None:
        problem = f"member {name!r} belongs to no sample, and readers pass it by; publish the shard again"
        raise ValidationError(problem, shard=shard)

    return refuse


class Receipt:
    """Checksums of names and of data of all members, in their order: 8 bytes a member, 4 for the columns of labels."""

    def __init__(self) -> None:
        self.samples = 0
        self.sums = array("I")

    def add(self, members: NamedBytes, labels: tuple[Label, ...] = ()) -> None:
        """One sample, as it is handed to the shard: names and bytes of its members, columns of labels."""
        self.samples += 1
        for name, data in members:
            self.sums.append(isal_zlib.crc32(name.encode()))
            self.sums.append(isal_zlib.crc32(data))
        if labels:
            self.sums.append(isal_zlib.crc32(repr(labels).encode()))

    def check(self, path: Path, shard: str, layout: Layout) -> None:
        """Read a shard again from its final bytes: every sample and every member must be what was handed over.

        Args:
            path: the shard on the local disk.
            shard: name of its input, for messages.
            layout: of its input.

        Raises:
            ValidationError: names the shard, the sample and the member that differs.
        """
        samples, position = 0, 0
        for sample in protected_samples(path, shard, layout):
            samples += 1
            for member in sample.members:
                found = [isal_zlib.crc32(f"{sample.key}.{member.field}".encode()), isal_zlib.crc32(member.data)]
                written = self.sums[position : position + 2].tolist()
                if found[:1] != written[:1]:
                    problem = f"member {member.field!r} is not the one that was written in its place"
                    raise ValidationError(problem, shard=shard, key=sample.key)
                if found != written:
                    problem = f"member {member.field!r} changed on its way to the disk"
                    raise ValidationError(problem, shard=shard, key=sample.key)
                position += 2
            if sample.labels:
                if self.sums[position : position + 1].tolist() != [isal_zlib.crc32(repr(sample.labels).encode())]:
                    problem = f"its columns of labels are not those that were written: {dict(sample.labels)}"
                    raise ValidationError(problem, shard=shard, key=sample.key)
                position += 1
        if samples != self.samples or position != len(self.sums):
            raise ValidationError(f"{self.samples} samples were written, {samples} read again", shard=shard)
