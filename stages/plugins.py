"""A registry that also knows what other packages add to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from schemas.errors import ConfigError
from schemas.plugins import installed, loaded

T = TypeVar("T")


class Registry(dict[str, T], Generic[T]):
    """Name → object. A name of our own is a row; one of another package is loaded when it is first asked for.

    Iteration goes over our own rows alone.

    Args:
        group: entry points of other packages.
        rows: our own, in order.
        made: from what an entry point leads to, to the object.

    Raises:
        KeyError: nobody offers the name.
        ConfigError: what a package offers cannot be loaded, or is something else.
    """

    def __init__(self, group: str, rows: Mapping[str, T], made: Callable[[Any], T]) -> None:
        super().__init__(rows)
        self._group, self._made, self._loaded = group, made, dict[str, T]()

    def __missing__(self, name: str) -> T:
        if name not in self._loaded:
            try:
                self._loaded[name] = self._made(loaded(self._group, name))
            except TypeError as error:
                value = installed(self._group)[name].value
                raise ConfigError(f"entry point {name!r} of {self._group} ({value}): {error}") from None
        return self._loaded[name]
