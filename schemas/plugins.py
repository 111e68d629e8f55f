"""Names that other packages add by entry points: what is installed, whether a name is known, and its version.

A package writes, in its `pyproject.toml`:

    [project.entry-points."mtlue.countermeasures"]
    invert = "mtlue_invert:Invert"

and `audit.countermeasures: [invert]` then works everywhere that the package is installed. Nothing of a package is
imported before its name is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from schemas.errors import ConfigError

COUNTERMEASURES, PERTURBERS, WEIGHTINGS, TASKS, DATASETS = (
    f"mtlue.{kind}" for kind in ("countermeasures", "perturbers", "weightings", "tasks", "datasets")
)
"""Groups of entry points."""


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """Name → entry point of a group, sorted by name.

    Raises:
        ConfigError: two packages offer one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"{_package(other)} and {_package(point)} both offer {point.name!r} ({group}); remove one of them"
            )
    return found


def version_of(group: str, name: str) -> list[str]:
    """Package and version behind a name, as a part of fingerprints: another version may give another result.

    Empty where the name is no plug-in's.
    """
    point = installed(group).get(name)
    return [] if point is None else [_package(point)]


def loaded(group: str, name: str) -> Any:
    """The object behind a name.

    Raises:
        KeyError: no package offers it.
        ConfigError: it cannot be imported.
    """
    point = installed(group)[name]
    try:
        return point.load()
    except Exception as error:
        raise ConfigError(
            f"{name!r} ({group}) of {_package(point)} cannot be loaded ({type(error).__name__}: {error}); correct the "
            "package, or leave the name out"
        ) from error


def or_installed(group: str) -> WrapValidator:
    """Annotation of our own names: a name that an installed package offers is taken as well."""

    def check(name: Any, own: ValidatorFunctionWrapHandler) -> Any:
        try:
            return own(name)
        except ValidationError:
            if isinstance(name, str) and name in installed(group):
                return name
            raise

    return WrapValidator(check)


class Offered:
    """Annotation beside `or_installed`: the schema of editors knows the names that are installed here."""

    def __init__(self, group: str) -> None:
        self.group = group

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Our own names, then theirs."""
        own = handler(schema)
        return {**own, "enum": [*own["enum"], *installed(self.group)]}


def _package(point: EntryPoint) -> str:
    return "a package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


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
