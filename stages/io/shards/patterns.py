"""Patterns of shards: braces, wildcards, and what of a pattern is the name of something that exists."""

from __future__ import annotations

import glob
import os
import re
import unicodedata

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
