"""Splits that follow from a key alone: the same ones whatever else the dataset holds."""

from __future__ import annotations

from stages.io.shards.names import key_hash


def held_out(key: str, percent: int) -> str:
    """`test` for `percent` of all keys, by their hash, else `train`.

    >>> [held_out(key, 50) for key in ("26_0_1_20170116184732662", "patient 7", "patient 9")]
    ['test', 'train', 'train']
    """
    return "test" if int.from_bytes(key_hash(key), "big") % 100 < percent else "train"
