"""Which names a pattern of shards means: braces, wildcards, literal names; and what lies beside them below a prefix."""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from schemas.errors import ConfigError

MAX_EXPANSIONS = 1_000_000
"""Names that one pattern may stand for."""

_INNERMOST_BRACE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?")
_ESCAPED = re.compile(r"\[([*?[])\]")
_WILDCARD = re.compile(r"(?:[^*?[]|\[[*?[]\])*")
_LITERAL = re.compile(r"(?:[^{*?[]|\[[*?[]\])*")


def expand_braces(pattern: str) -> list[str]:
    """Every name that the braces of `pattern` stand for, in order, each once.

    >>> expand_braces("{train,val}-{08..10}.tar")[:4]
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']

    Raises:
        ConfigError: a brace has no partner, holds neither a range nor a comma, or stands for too many names.
    """
    names, open_names = [], [pattern]
    while open_names:
        name = open_names.pop()
        brace = _INNERMOST_BRACE.search(name)
        if brace is None:
            names.append(name)
        else:
            choices = _choices(brace[1], pattern)
            open_names.extend(name[: brace.start()] + choice + name[brace.end() :] for choice in reversed(choices))
        if len(names) + len(open_names) > MAX_EXPANSIONS:
            raise ConfigError(f"{pattern!r} stands for more than {MAX_EXPANSIONS:,} names; use a glob or a prefix")
    if "{" in names[0] or "}" in names[0]:
        raise ConfigError(f"{pattern!r} has a brace without a partner; write for example {{00000..00011}}")
    return list(dict.fromkeys(names))


def _choices(text: str, pattern: str) -> list[str]:
    """What one pair of braces stands for."""
    if match := _RANGE.fullmatch(text):
        first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
        if step == 0 or abs(last - first) // step >= MAX_EXPANSIONS:
            raise ConfigError(f"{pattern!r}: the range {{{text}}} stands for too many names; use a glob or a prefix")
        width = max(len(match[1]), len(match[2])) if match[1].startswith("0") or match[2].startswith("0") else 0
        numbers = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
        return [f"{number:0{width}d}" for number in numbers]
    if "," not in text:
        raise ConfigError(f"{pattern!r}: {{{text}}} is neither a range such as {{000..011}} nor a list such as {{a,b}}")
    return text.split(",")


def is_wild(name: str) -> bool:
    """Whether a name has a wildcard that is not escaped (`[*]`, `[?]`, `[[]`)."""
    return fixed(name) != name


def fixed(name: str) -> str:
    """What stands in front of the first wildcard, as it is spelled."""
    found = _WILDCARD.match(name)
    return found[0] if found else ""


def literal(pattern: str) -> str:
    """What stands in front of the first wildcard or brace, as it is spelled."""
    found = _LITERAL.match(pattern)
    return found[0] if found else ""


def unescaped(name: str) -> str:
    """The name that a pattern without wildcards stands for.

    >>> unescaped("set [[]v2]/00000.tar")
    'set [v2]/00000.tar'
    """
    return _ESCAPED.sub(r"\1", name)


def escaped_where_there(pattern: str) -> str:
    """The pattern with its wildcards escaped in each step that exists on the local disk under exactly this name.

    A folder `[v2]` is then itself, and no pattern for `v` and `2`. On an object store a pattern stays as it is.
    """
    scheme, separator, rest = pattern.rpartition("://")
    if separator and scheme.lower() not in {"file", "local"}:
        return pattern
    steps = rest.split("/")
    for number, step in enumerate(steps):
        if step == literal(step):
            continue
        there = unescaped("/".join([*steps[:number], ""])) + step
        if fixed(step) == step or not os.path.lexists(os.path.expanduser(there)):
            break
        steps[number] = glob.escape(step)
    return scheme + separator + "/".join(steps)


def composed(name: str) -> str:
    """The one spelling of a name: accents composed (NFC). macOS stores them apart (NFD)."""
    return unicodedata.normalize("NFC", name)


def as_stored(path: str) -> str:
    """The spelling of a local path that exists: as given, with composed accents, or with accents apart."""
    spellings = [path, composed(path), unicodedata.normalize("NFD", path)]
    return next((each for each in spellings if os.path.lexists(each)), path)


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
        """What the configuration's key `key` ignores, for people."""
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
