"""What every configuration and plan has: its base, its fingerprint, and what each of its fields means."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of every configuration model: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def fingerprint(value: BaseModel | dict[str, Any] | list[Any]) -> str:
    """16 hex digits of the SHA-256 of the canonical JSON of `value`.

    Raises:
        TypeError: a value that does not serialise the same way twice (a set, an object, NaN).
    """
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    try:
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a fingerprint needs plain JSON values: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Field → its docstring, on one line; fields without one are left out.

    Python keeps no docstring of a field, so the source is read. Fields of base classes are included.
    """
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            found |= _docs_in(each)
    return {name: text for name, text in found.items() if name in model.model_fields}


def _docs_in(model: type[BaseModel]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    except (OSError, TypeError, SyntaxError):  # a model that was made without a source file
        return {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    docs = {}
    for field, after in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            docs[field.target.id] = " ".join(after.value.value.split())
    return docs
