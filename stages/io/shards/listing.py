"""From the configuration's patterns to the input shards: URLs, brace ranges, globs and prefixes."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from fsspec.utils import glob_translate

from schemas.dataset import Storage
from schemas.errors import ConfigError
from schemas.records import ShardRef, shard_stem
from stages.io.shards.patterns import (
    Beside,
    as_stored,
    composed,
    escaped_where_there,
    expand_braces,
    fixed,
    is_hidden,
    is_packed,
    is_shard,
    is_wild,
    literal,
    unescaped,
)
from stages.io.store.objects import DANGLING, Entry
from stages.io.store.store import Store
from stages.io.store.urls import LOCAL, format_url, normalised_url, split_url

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic")
"""Endings of pictures that lie there as files."""

PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z")
"""Endings that are refused where they are spelled out, besides those of packed shards."""


def list_shards(
    patterns: str | list[str], storage: Storage, key: str = "dataset.shards", passed_by: list[str] | None = None
) -> tuple[Store, list[ShardRef]]:
    """List the shards that `patterns` name, from what the store shows now.

    Below a prefix or glob, hidden and unfinished shards (`.Trash-1000/`, `_temporary/`, `x.tar.part`) are ignored, and
    packed ones (`x.tar.gz`) are refused. What is spelled out counts as spelled: a folder `[v2]` that exists on the
    local disk is no pattern. Accents are the same in both of Unicode's spellings.

    Args:
        patterns: each a URL, a brace range (`x-{00000..00011}.tar`, also `{train,val}`), a glob or a prefix. Signs of a
            glob: `*`, `?`, `[0-9]`; `**` for any number of directories; `[[]` for a bracket. Below a prefix every .tar
            and .parquet counts.
        storage: how the store is reached; `anon` reads it without credentials.
        key: the configuration's key, for messages.
        passed_by: a sentence is added for each kind of object that is not read though it may be data.

    Returns:
        The store at the directory that all patterns have in common, and the shards with their names below it: sorted by
        name, each once. The directory follows from the patterns alone: a new shard never renames the others.

    Raises:
        ConfigError: a shard that was spelled out is missing; a pattern finds none, or a packed one; a shard is a link
            that leads nowhere. Or two shards would be published under one name, or the patterns name several buckets.
        StoreError, TransientError: the store refuses or fails (`Store`).
    """
    spelled = [escaped_where_there(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns)]
    if not spelled:
        raise ConfigError(f"{key} is an empty list; name a URL, a brace range, a glob or a prefix")
    protocol, root = _common_root(spelled, key)
    stored = as_stored(root) if protocol == LOCAL else root
    listing = _Listing(Store(format_url(protocol, stored), storage, anon=storage.anon), format_url(protocol, root), key)
    entries: dict[str, Entry] = {}
    for pattern in spelled:
        entries.update((entry.name, entry) for entry in listing.find(pattern, storage))
    store = listing.store
    shards = [
        ShardRef(name=entry.name, url=store.join(entry.name), size=entry.size, etag=entry.etag)
        for _, entry in sorted(entries.items())
    ]
    _refuse_unreadable(shards, key)
    listing.beside.hidden -= entries.keys()
    if passed_by is not None:
        passed_by += listing.beside.sentences(key)
    return store, shards


def _common_root(patterns: Sequence[str], key: str) -> tuple[str, str]:
    """Protocol and path of the deepest directory that holds whatever the patterns may name."""
    bases = [_base(pattern) for pattern in patterns]
    buckets = {(protocol, "" if protocol == LOCAL else path.partition("/")[0]) for protocol, path in bases}
    if len(buckets) > 1:
        raise ConfigError(
            f"{key} names several buckets or stores: {', '.join(patterns[:5])}; one run reads one of them"
        )
    return bases[0][0], os.path.commonpath([path for _, path in bases])


def _base(pattern: str) -> tuple[str, str]:
    """Protocol and path of the directory in front of a pattern's first brace or wildcard."""
    start = literal(pattern)
    if start != pattern or is_shard(pattern):
        start = start[: start.rfind("/") + 1] or "."
    return split_url(unescaped(start))


@dataclass
class _Listing:
    """What was found below the root of all patterns."""

    store: Store
    root: str
    """URL of the store as the patterns spell it."""
    key: str
    beside: Beside = field(default_factory=Beside)

    def find(self, pattern: str, storage: Storage) -> list[Entry]:
        """Every shard of one pattern."""
        found: list[Entry] = []
        missing: list[str] = []
        for names in self._by_directory(pattern):
            # Letters in common, not steps: a listing can start in the middle of a name.
            prefix = os.path.commonprefix([_plain(composed(unescaped(fixed(name)))) for name in names])  # noqa: RUF071
            entries = self.store.list(prefix)
            known = {composed(entry.name): entry for entry in entries} | {entry.name: entry for entry in entries}
            for name in names:
                if is_wild(name) or not is_shard(name):
                    found += self._below(name, entries, storage)
                    continue
                entry = known.get(unescaped(name)) or known.get(composed(unescaped(name)))
                missing += [] if entry else [unescaped(name)]
                found += [entry] if entry else []
        if missing:
            raise ConfigError(
                f"{self.key}: {len(missing)} of the shards that {pattern!r} names are missing: "
                f"{_first([self.store.join(name) for name in missing])}; correct the names or the range"
            )
        return found

    def _by_directory(self, pattern: str) -> Iterable[list[str]]:
        """The names of one pattern below the store's root, grouped by what one listing can find."""
        groups: dict[str, list[str]] = {}
        for spelled in expand_braces(pattern):
            if spelled.endswith(PACKED_ENDINGS) or is_packed(spelled):
                unpack = "unpack it (gunzip x.tar.gz) first"
                raise ConfigError(f"{self.key}: {spelled} is neither .tar nor .parquet; {unpack}")
            name = escaped_where_there(spelled)
            start = fixed(name)
            # `..` and `~` are resolved in front of the first wildcard alone.
            directory = name if start == name else start[: start.rfind("/") + 1]
            below = normalised_url(unescaped(directory) or ".")[len(self.root) :].lstrip("/")
            below += "/" if below and directory.endswith("/") else ""  # a prefix, even when it is called x.parquet
            below = _escaped(below) + name[len(directory) :]
            groups.setdefault(below[: fixed(below).rfind("/") + 1], []).append(below)
        return groups.values()

    def _below(self, name: str, entries: Iterable[Entry], storage: Storage) -> list[Entry]:
        """The shards that match a glob, or lie below a prefix; the one of this very name, where there is one."""
        if "[" in name and is_shard(name) and (exact := self.store.stat(unescaped(name))):
            return [exact]
        shards, packed, hidden, others = list[Entry](), list[str](), list[str](), list[str]()
        for entry, is_passed_by in _matching(entries, name):
            if is_passed_by:
                hidden.append(entry.name)
                self.beside.add_hidden(entry.name)
            elif is_shard(entry.name):
                shards.append(entry)
            elif is_packed(entry.name):
                packed.append(entry.name)
            else:
                others.append(entry.name)
                self.beside.add_other(entry.name)
        place = self.store.join(unescaped(name)) if name else self.store.url
        if packed:
            raise ConfigError(
                f"{self.key}: shards below {place} cannot be read as they are ({len(packed)}: {_first(packed)}); "
                "unpack them (gunzip, unzstd), give them the ending .tar or .parquet, or name the other shards alone "
                "(such as *.tar)"
            )
        if not shards:
            raise ConfigError(f"{self.key}: {self._nothing(place, others, hidden, storage)}")
        return shards

    def _nothing(self, place: str, others: Sequence[str], hidden: Sequence[str], storage: Storage) -> str:
        """The message for a glob or prefix that has no shard."""
        if hidden:
            return (
                f"{place} has hidden or unfinished objects alone ({len(hidden)}: {_first(hidden)}); spell their folder "
                "out to read them"
            )
        if others:
            pictures = any(name.lower().endswith(PICTURES) for name in others)
            hint = f"; `mtlue import folder {place} --out …` makes shards of pictures" if pictures else ""
            return f"{place} has no .tar or .parquet, but {len(others)} other objects: {_first(others)}{hint}"
        parent, _, last = place.rstrip("/").rpartition("/")
        if "/" in split_url(place)[1].strip("/") and Store(parent or "/", storage, anon=storage.anon).stat(last):
            return f"{place} is neither .tar nor .parquet; name shards, or a directory of them"
        bracket = "; write [[] for a bracket that is part of a name" if "[" in place else ""
        return (
            f"there is no shard at {place}, nor anything else; correct the name, "
            f"and write a * behind one that is only the start of a directory's or file's name{bracket}"
        )


def _matching(entries: Iterable[Entry], name: str) -> Iterator[tuple[Entry, bool]]:
    """The entries that match a glob or lie below a prefix, and whether they are hidden there."""
    name = composed(name)
    start = fixed(name)
    if start == name:
        whole = unescaped(name).rstrip("/")
        directory = f"{whole}/" if whole else ""
        spelled: tuple[str, ...] = ()
    else:
        directory = unescaped(start[: start.rfind("/") + 1])
        spelled = tuple(name[start.rfind("/") + 1 :].split("/"))
        try:
            expression = re.compile(glob_translate(name))
        except ValueError as error:
            raise ConfigError(f"{name!r} is no glob: {error}") from error
    for entry in entries:
        found = composed(entry.name)
        if f"{found}/".startswith(directory) if start == name else expression.match(found):
            yield entry, is_hidden(found[len(directory) :], spelled)


def _refuse_unreadable(shards: Iterable[ShardRef], key: str) -> None:
    taken: dict[str, ShardRef] = {}
    for shard in shards:
        if shard.etag == DANGLING:
            raise ConfigError(f"{key}: {shard.url} is a symbolic link that leads nowhere; correct it, or take it out")
        other = taken.setdefault(shard_stem(shard.name), shard)
        if other is not shard:
            raise ConfigError(
                f"{key}: {other.url} and {shard.url} would both be published as {shard.output_name}; "
                "rename one of them or take it out"
            )


def _escaped(name: str) -> str:
    """A name as a pattern that stands for it alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _plain(name: str) -> str:
    """The start of a name that has one spelling in Unicode."""
    return name[: next((index for index, letter in enumerate(name) if not letter.isascii()), len(name))]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
