"""Stored records, read again: by this version of mtlue or a later one, whole or cut off."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import ValidationError as PydanticError

from schemas.errors import ValidationError
from schemas.records import Record
from stages.io.store.store import Store

R = TypeVar("R", bound=Record)


def read_record(store: Store, name: str, kind: type[R], hint: str, *, strict: bool = False) -> R:
    """The record in one object; `parse_record` says what may be wrong with it."""
    return parse_record(store.read(name), kind, store.join(name), hint, strict=strict)


def parse_record(data: bytes, kind: type[R], url: str, hint: str, *, strict: bool = False) -> R:
    """A record from the bytes of its object.

    Fields that this version does not know are ignored: a later version has added them.

    Args:
        url: the object, for the message.
        hint: what the user can do about it.
        strict: refuse unknown fields too, where one of them might decide what is published.

    Raises:
        ValidationError: the object is cut off, was changed, or a later version means something else by it.
    """
    unknown: Literal["forbid", "ignore"] = "forbid" if strict else "ignore"
    try:
        return kind.model_validate_json(data, extra=unknown)
    except PydanticError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise ValidationError(
            f"{url}: this is no {kind.__name__} that this version of mtlue can read ({place}: {first['msg']}): it was "
            f"cut off, or a newer version has written it; use that version, or {hint}"
        ) from None
