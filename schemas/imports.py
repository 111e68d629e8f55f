"""What an import of a public dataset records: its shards, and every row of its source that became no sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import Field

from schemas.errors import SampleError
from schemas.records import ManifestShard, Record

EXAMPLES = 5
"""Messages kept of each reason: enough to find what is wrong; the count tells how much of it there is."""

Parameters = dict[str, int | str]
"""All that decides the bytes of an import: dataset, split, count, seed, …"""


class Skipped(Record):
    """One row or file of the source that became no sample, and why."""

    reason: str
    """Short word, such as `missing-file`; the key of every count."""
    message: str
    """File, row, field, value found and what to do."""

    @classmethod
    def of(cls, error: SampleError, where: str) -> Self:
        """The row at a place of the source, with what is wrong with it."""
        return cls(reason=error.reason, message=f"{where}: {error.problem}")


class SkippedCount(Record):
    """The rows that were left out for one reason."""

    count: int = 0
    examples: list[str] = Field(default_factory=list)
    """The first messages, in the order of the source."""


class SkippedCounts(Record):
    """The rows that were left out, by reason; counts of parts add up to the count of the whole, in any grouping."""

    reasons: dict[str, SkippedCount] = Field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows that were left out."""
        return sum(each.count for each in self.reasons.values())

    def merge(self, other: Self) -> Self:
        """Both together; the examples of `self` come first."""
        reasons = {}
        for reason in sorted({*self.reasons, *other.reasons}):
            mine, theirs = (each.reasons.get(reason, SkippedCount()) for each in (self, other))
            examples = [*mine.examples, *theirs.examples][:EXAMPLES]
            reasons[reason] = SkippedCount(count=mine.count + theirs.count, examples=examples)
        return self.model_copy(update={"reasons": reasons})

    @classmethod
    def of(cls, skipped: Iterable[Skipped]) -> Self:
        """The counts of some rows."""
        counts = cls()
        for each in skipped:
            one = SkippedCount(count=1, examples=[each.message])
            counts = counts.merge(cls(reasons={each.reason: one}))
        return counts


class ImportedShard(Record):
    """`import/<name>.json`, written after the shard: what was put, or that none of its rows became a sample."""

    identity: str
    """Hash of the import's parameters and of the shard's rows, with the sizes of their files."""
    split: str
    shard: ManifestShard
    etag: str
    """The store's etag after the shard was put: the same etag later means the same bytes."""
    skipped: SkippedCounts


class SplitCount(Record):
    """What one split came to."""

    samples: int
    shards: list[ManifestShard]


class ImportSummary(Record):
    """`import.json` beside the shards. Written before the first shard, and again, complete, after the last."""

    format: str = "mtlue-import-2"
    parameters: Parameters
    complete: bool = False
    splits: dict[str, SplitCount] = Field(default_factory=dict)
    rows: int = 0
    """Rows of the source: samples and rows left out together."""
    skipped: SkippedCounts = SkippedCounts()

    @property
    def samples(self) -> int:
        """Samples of all splits."""
        return sum(split.samples for split in self.splits.values())
