"""Fingerprints: the same plain values give the same 16 hex digits, everywhere and always."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel


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
