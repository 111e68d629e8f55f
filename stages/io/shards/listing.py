"""From the configuration's patterns to the input shards: URLs, brace ranges, globs and prefixes."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator, Sequence

from fsspec.utils import glob_translate

from schemas.config import Storage
from schemas.errors import ConfigError
from schemas.records import ShardRef
from stages.io.store.objects import Entry
from stages.io.store.store import Store
from stages.io.store.urls import LOCAL, format_url, normalised_url, split_url

SHARD_ENDINGS = (".tar", ".parquet")
PACKED_ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".gz", ".bz2", ".xz", ".zst", ".zip", ".7z")
MAX_EXPANSIONS = 1_000_000
"""Names that one pattern may stand for."""

_INNERMOST_BRACE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?")


def list_shards(patterns: str | list[str], storage: Storage) -> tuple[Store, list[ShardRef]]:
    """List the shards that `patterns` name, from what the store shows now.

    Args:
        patterns: each a URL, a brace range (`x-{00000..00011}.tar`, also `{train,val}`), a glob (`*`, `?`, `[0-9]`;
            `**` for any number of directories) or a prefix, below which every .tar and .parquet counts.
        storage: how the store is reached; `anon` reads it without credentials.

    Returns:
        The store at the directory that all patterns have in common, and the shards with their names below it: sorted by
        name, each once. The directory follows from the patterns alone: a new shard never renames the others.

    Raises:
        ConfigError: a shard that was spelled out is missing; a pattern finds none; a name has another ending; two
            shards would be published under one name; the patterns name several buckets.
        StoreError, TransientError: the store refuses or fails (`Store`).
    """
    spelled = [patterns] if isinstance(patterns, str) else patterns
    if not spelled:
        raise ConfigError("dataset.shards is an empty list; name a URL, a brace range, a glob or a prefix")
    store = Store(format_url(*_common_root(spelled)), storage, anon=storage.anon)
    entries: dict[str, Entry] = {}
    for pattern in spelled:
        entries.update((entry.name, entry) for entry in _find(store, pattern, storage))
    shards = [
        ShardRef(name=entry.name, url=store.join(entry.name), size=entry.size, etag=entry.etag)
        for _, entry in sorted(entries.items())
    ]
    _refuse_shared_output(shards)
    return store, shards


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


def _common_root(patterns: Sequence[str]) -> tuple[str, str]:
    """Protocol and path of the deepest directory that holds whatever the patterns may name."""
    bases = [_base(pattern) for pattern in patterns]
    buckets = {(protocol, "" if protocol == LOCAL else path.partition("/")[0]) for protocol, path in bases}
    if len(buckets) > 1:
        raise ConfigError(
            f"dataset.shards names several buckets or stores: {', '.join(patterns[:5])}; one run reads one of them"
        )
    return bases[0][0], os.path.commonpath([path for _, path in bases])


def _base(pattern: str) -> tuple[str, str]:
    """Protocol and path of the directory in front of a pattern's first brace or wildcard."""
    fixed = re.split(r"[{*?[]", pattern, maxsplit=1)[0]
    if fixed != pattern or _is_shard(pattern):
        fixed = fixed[: fixed.rfind("/") + 1] or "."
    return split_url(fixed)


def _find(store: Store, pattern: str, storage: Storage) -> list[Entry]:
    """Every shard of one pattern."""
    found: list[Entry] = []
    missing: list[str] = []
    for names in _by_directory(store, pattern):
        # Letters in common, not steps: a listing can start in the middle of a name.
        prefix = os.path.commonprefix([_fixed(name) for name in names])  # noqa: RUF071
        entries = {entry.name: entry for entry in store.list(prefix)}
        for name in names:
            if _is_shard(name) and not _is_wild(name):
                missing += [name] if name not in entries else []
                found += [entries[name]] if name in entries else []
            else:
                matching = list(_matching(entries.values(), name))
                shards = [entry for entry in matching if _is_shard(entry.name)]
                if not shards:
                    raise ConfigError(_nothing(store.join(name) if name else store.url, matching, storage))
                found += shards
    if missing:
        raise ConfigError(
            f"dataset.shards: {len(missing)} of the shards that {pattern!r} names are missing: "
            f"{_first([store.join(name) for name in missing])}; correct the names or the range"
        )
    return found


def _by_directory(store: Store, pattern: str) -> Iterable[list[str]]:
    """The names of one pattern below the store's root, grouped by what one listing can find."""
    groups: dict[str, list[str]] = {}
    for name in expand_braces(pattern):
        if name.endswith(PACKED_ENDINGS):
            raise ConfigError(f"dataset.shards: {name} is neither .tar nor .parquet; unpack it (gunzip x.tar.gz) first")
        below = normalised_url(name)[len(store.url) :].lstrip("/")
        if below and name.endswith("/"):
            below += "/"  # a prefix, even when it is called x.parquet
        fixed = _fixed(below)
        groups.setdefault(fixed[: fixed.rfind("/") + 1], []).append(below)
    return groups.values()


def _matching(entries: Iterable[Entry], name: str) -> Iterator[Entry]:
    """The entries that match a glob, or lie below a prefix."""
    if not _is_wild(name):
        directory = name.rstrip("/") + "/"
        yield from (entry for entry in entries if not name or f"{entry.name}/".startswith(directory))
        return
    try:
        expression = re.compile(glob_translate(name))
    except ValueError as error:
        raise ConfigError(f"{name!r} is no glob: {error}") from error
    yield from (entry for entry in entries if expression.match(entry.name))


def _nothing(place: str, matching: Sequence[Entry], storage: Storage) -> str:
    """The message for a glob or prefix that has no shard."""
    if matching:
        names = _first([entry.name for entry in matching])
        return f"dataset.shards: {place} has no .tar or .parquet, but {len(matching)} other objects: {names}"
    parent, _, last = place.rstrip("/").rpartition("/")
    if "/" in split_url(place)[1].strip("/") and Store(parent or "/", storage, anon=storage.anon).stat(last):
        return f"dataset.shards: {place} is neither .tar nor .parquet; name shards, or a directory of them"
    return (
        f"dataset.shards: there is no shard at {place}, nor anything else; correct the name, "
        "and write a * behind one that is only the start of a directory's or file's name"
    )


def _refuse_shared_output(shards: Iterable[ShardRef]) -> None:
    taken: dict[str, ShardRef] = {}
    for shard in shards:
        other = taken.setdefault(shard.output_name, shard)
        if other is not shard:
            raise ConfigError(
                f"dataset.shards: {other.url} and {shard.url} would both be published as {shard.output_name}; "
                "rename one of them or take it out"
            )


def _is_shard(name: str) -> bool:
    return name.endswith(SHARD_ENDINGS)


def _is_wild(name: str) -> bool:
    return _fixed(name) != name


def _fixed(name: str) -> str:
    """What stands in front of the first wildcard."""
    return re.split(r"[*?[]", name, maxsplit=1)[0]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
