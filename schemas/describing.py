"""What each field of a model means, in the words that stand below it in the source: for option help and JSON schema."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


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
