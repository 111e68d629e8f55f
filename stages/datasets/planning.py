"""From rows to shards: which rows make which shard, the same whatever the number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from schemas.errors import ConfigError
from schemas.fingerprints import fingerprint
from schemas.imports import Parameters, Skipped
from stages.datasets.adapter import Row
from stages.io.shards.names import key_hash

FORMAT = "mtlue-import-2"
"""Version of what a shard of an import holds for the same rows and parameters."""


@dataclass(frozen=True)
class ShardLimit:
    """When a shard is full: at a number of samples, or at a number of bytes of their source files."""

    samples: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.samples is None) == (self.bytes is None):
            raise ConfigError("a shard is full by samples or by bytes: give one of the two limits")
        limit = self.samples if self.samples is not None else self.bytes
        if limit is None or limit < 1:
            raise ConfigError(f"a shard must hold at least 1 sample and 1 byte; found the limit {limit}")

    @property
    def parameters(self) -> Parameters:
        """The limit as a parameter of the import."""
        if self.samples is not None:
            return {"shard_samples": self.samples}
        return {"shard_bytes": self.bytes or 0}


@dataclass(frozen=True)
class PlannedShard:
    """One shard that is to be: its name and rows."""

    name: str
    split: str
    rows: list[Row]
    identity: str
    """Hash of the import's parameters and of the rows; the same rows with the same options give the same bytes."""


@dataclass
class _Filling:
    """The shard of a split that is being filled."""

    number: int = 0
    bytes: int = 0
    rows: list[Row] = field(default_factory=list)


def planned_shards(
    rows: Iterable[Row | Skipped], limit: ShardLimit, parameters: Parameters, on_skipped: Callable[[Skipped], None]
) -> Iterator[PlannedShard]:
    """Group rows into `<split>-00000.tar`, …, a shard as soon as it is full.

    Memory holds the rows of one shard of each split, and 8 bytes for each key: a key that comes again is left out.

    Args:
        rows: in the order of the source.
        limit: when a shard is full; the row that reaches it is its last.
        parameters: all that decides the bytes, beside the rows.
        on_skipped: called for every row that becomes no sample.
    """
    filling: dict[str, _Filling] = {}
    seen: set[bytes] = set()
    for row in rows:
        if isinstance(row, Skipped):
            on_skipped(row)
            continue
        digest = key_hash(row.key)
        if digest in seen:
            message = f"{row.place}: the key {row.key} was there before; the first was kept: rename or delete this one"
            on_skipped(Skipped(reason="duplicate-key", message=message))
            continue
        seen.add(digest)
        current = filling.setdefault(row.split, _Filling())
        current.rows.append(row)
        current.bytes += row.size
        if len(current.rows) == limit.samples or (limit.bytes is not None and current.bytes >= limit.bytes):
            yield _shard(row.split, current, parameters)
            filling[row.split] = _Filling(current.number + 1)
    for split, current in filling.items():
        if current.rows:
            yield _shard(split, current, parameters)


def _shard(split: str, filled: _Filling, parameters: Parameters) -> PlannedShard:
    name = f"{split}-{filled.number:05d}.tar"
    identity = fingerprint([FORMAT, parameters, name, [list(row) for row in filled.rows]])
    return PlannedShard(name, split, filled.rows, identity)
