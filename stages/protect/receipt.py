"""The receipt of a shard: checksums of what was handed to the shard, and the check of what lies on the disk."""

from __future__ import annotations

from array import array
from pathlib import Path

from isal import isal_zlib

from schemas.config import Layout
from schemas.errors import ValidationError
from stages.io.shards.sample import Label, NamedBytes
from stages.protect.reread import protected_samples


class Receipt:
    """Checksums of names and of data of all members, in their order; 8 bytes a member, 4 for the columns of labels."""

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
