"""What lies beside the shards below a prefix or glob: hidden, unfinished, packed, or of another kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

SHARD_ENDINGS = (".tar", ".parquet")

_SYSTEM = frozenset({"$RECYCLE.BIN", "#recycle", "@eaDir", "lost+found", "System Volume Information", "~snapshot"})
"""Folders that operating systems and network storage make."""

_PACKED = re.compile(
    r"\.(?:tar|parquet)\.(?:gz|gzip|bz2|xz|zst|zstd|lz4|lzma|lz|lzo|br|z|zip|7z|rar|\d{1,3}|a[a-z])$"
    r"|\.(?:tgz|taz|tbz2?|tb2|txz|tlz|tzst?)$",
    re.IGNORECASE,
)
_UNFINISHED = re.compile(
    r"\.(?:tar|parquet|tgz)(?:\.\w{1,5})?(?:\.(?:part|partial|filepart|tmp|temp|crdownload|download|aria2|inprogress)|~)$",
    re.IGNORECASE,
)
_OTHER_DATA = re.compile(
    r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|heic|avif|jp2|zip|7z|rar|gz|bz2|xz|zst|tfrecords?|arrow|feather|mds|beton|lmdb|mdb"
    r"|hdf5|h5|npz|mat)$",
    re.IGNORECASE,
)


def is_shard(name: str) -> bool:
    """Whether a name ends as that of a shard that can be read."""
    return name.endswith(SHARD_ENDINGS)


def is_packed(name: str) -> bool:
    """Whether a name ends as that of a shard that must be unpacked, joined or renamed before it can be read."""
    return bool(_PACKED.search(name)) or (name.lower().endswith(SHARD_ENDINGS) and not is_shard(name))


def is_hidden(below: str, spelled: Sequence[str] = ()) -> bool:
    """Whether a name is hidden or not finished, as Spark, Hive and shells see it: a step begins with `.` or `_`.

    Steps such as `_part=1` are partitions, and a step that the pattern spells with its `.` or `_` is meant.

    Args:
        below: the name below the directory that the pattern spells out.
        spelled: steps of the pattern below that directory.
    """
    if _UNFINISHED.search(below):
        return True
    return any(
        (step.startswith(".") or (step.startswith("_") and "=" not in step) or step in _SYSTEM)
        and not any(wanted[:1] == step[:1] and fnmatchcase(step, wanted) for wanted in spelled)
        for step in below.split("/")
    )


@dataclass
class Beside:
    """Names that the patterns matched and that are no shards to read."""

    hidden: set[str] = field(default_factory=set)
    """Shards that are hidden or not finished."""
    others: set[str] = field(default_factory=set)
    """Images and archives of other formats."""

    def add_hidden(self, name: str) -> None:
        """Count a hidden object, if it would be a shard otherwise."""
        if is_shard(name) or is_packed(name) or _UNFINISHED.search(name):
            self.hidden.add(name)

    def add_other(self, name: str) -> None:
        """Count an object that is no shard, if it may be data."""
        if _OTHER_DATA.search(name):
            self.others.add(name)

    def sentences(self, key: str) -> list[str]:
        """What the configuration's key `key` passes by, for people."""
        found = []
        if self.hidden:
            found.append(
                f"{key}: hidden or unfinished shards are left out: {len(self.hidden)} (the first: {min(self.hidden)}); "
                "spell their folder out to read them"
            )
        if self.others:
            found.append(
                f"{key}: images or archives beside the shards are not read: {len(self.others)} "
                f"(the first: {min(self.others)}); pack them into .tar or .parquet"
            )
        return found
