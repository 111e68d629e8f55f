"""Addresses that a user writes: `${NAME}` is replaced from the environment, and each must name a place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.configuration.problems import KeyPath, dotted
from schemas.errors import ConfigError
from schemas.secrets import VARIABLES
from stages.io.store.urls import split_url

_EACH = "*"

_STORES: tuple[tuple[str, ...], ...] = (
    ("dataset", "shards"),
    ("dataset", "shards", _EACH),
    ("dataset", "test_shards"),
    ("dataset", "test_shards", _EACH),
    ("output",),
    ("work",),
)
"""Keys whose values are URLs of stores."""

_ENDPOINT = ("dataset", "storage", "endpoint_url")
_FILES = (("train", "weights", _EACH), ("audit", "pretrained", "weights"), ("sign_with",))
_ADDRESSES = (*_STORES, _ENDPOINT, *_FILES, ("compute", "address"), ("watch", "mlflow"))
"""Keys in whose values variables are replaced."""

_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)\})?")


def address(text: str, key: str) -> str:
    """The URL of a store that an option gives, with its variables replaced.

    Raises:
        ConfigError: a variable is not set, or the URL names no place; names the option.
    """
    try:
        found = expanded(text)
        split_url(found)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error.message}") from None
    return found


def expanded(text: str) -> str:
    """The text with `${NAME}` replaced from the environment, and `$$` by a dollar sign.

    Raises:
        ConfigError: a variable is not set, is empty, or is a credential; or a dollar sign stands alone. No message has
            the value of a variable.
    """
    return _VARIABLE.sub(_value, text)


def _value(match: re.Match[str]) -> str:
    dollar, name = match.groups()
    if dollar:
        return str(dollar)
    if not name:
        raise ConfigError("write ${NAME} for an environment variable, or $$ for a dollar sign")
    if name in VARIABLES:
        raise ConfigError(f"${{{name}}} is a credential, which has no place in a URL; it is read from the environment")
    if not os.environ.get(name):
        state = "is empty" if name in os.environ else "is not set"
        raise ConfigError(f"the environment variable {name} {state}; set it, or write the value here")
    return os.environ[name]


def with_variables(data: dict[Any, Any], source_of: Callable[[KeyPath], str]) -> dict[Any, Any]:
    """The configuration with the variables of its addresses replaced; `data` itself is not changed.

    Raises:
        ConfigError: a line for each variable that cannot be replaced, with its key.
    """
    return _changed(data, _ADDRESSES, _replaced, source_of)


def check_addresses(data: dict[Any, Any], source_of: Callable[[KeyPath], str]) -> None:
    """Refuse what names no store.

    Raises:
        ConfigError: a line for each such address, with its key.
    """
    _changed(data, (*_STORES, _ENDPOINT), _checked, source_of)


def _replaced(text: str, place: KeyPath) -> str:
    found = expanded(text)
    is_file = any(_fits(place, keys) for keys in _FILES)
    return os.path.expanduser(found) if is_file else found


def _checked(text: str, place: KeyPath) -> str:
    if place == _ENDPOINT:
        if not re.match(r"https?://[^/\s]", text):
            raise ConfigError(
                f"{text!r} is no endpoint; write http:// or https:// and a host, such as https://s3.local"
            )
    elif text.strip():
        split_url(text)
    return text


def _changed(
    data: dict[Any, Any],
    places: tuple[tuple[str, ...], ...],
    change: Callable[[str, KeyPath], str],
    source_of: Callable[[KeyPath], str],
) -> dict[Any, Any]:
    """A copy of `data` with the texts at these places changed."""
    problems: list[str] = []
    result = dict(data)
    for place, text in [found for keys in places for found in _texts(result, keys)]:
        try:
            new = change(text, place)
        except ConfigError as error:
            problems.append(f"{source_of(place)}: {dotted(place)}: {error.message}")
            continue
        here: Any = result
        for key in place[:-1]:
            here[key] = here[key].copy()  # with YAML's anchors two keys may have the same object
            here = here[key]
        here[place[-1]] = new
    if problems:
        raise ConfigError("\n".join(problems))
    return result


def _texts(value: Any, keys: tuple[str, ...], above: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """KeyPath and value of every text that these keys lead to."""
    if not keys:
        if isinstance(value, str):
            yield above, value
        return
    if isinstance(value, dict):
        inner = value if keys[0] == _EACH else value.keys() & {keys[0]}
        for key in inner:
            yield from _texts(value[key], keys[1:], (*above, key))
    elif isinstance(value, list) and keys[0] == _EACH:
        for index, item in enumerate(value):
            yield from _texts(item, keys[1:], (*above, index))


def _fits(place: KeyPath, keys: tuple[str, ...]) -> bool:
    return len(place) == len(keys) and all(key in (_EACH, part) for part, key in zip(place, keys, strict=True))
