"""Credentials have no place in anything that is shown: one scrubber for addresses and texts."""

from __future__ import annotations

import re

_SCHEME = r"\b[a-zA-Z][a-zA-Z0-9+.-]*://"


def scrub(text: object) -> str:
    """Take credentials out of every address in a text: user name, password, query and fragment (signed URLs)."""
    shown = re.sub(rf"({_SCHEME})[^\s/?#'\"<>]*@", r"\1", str(text))
    return re.sub(rf"({_SCHEME}[^\s?#'\"<>]*)[?#][^\s'\"<>]*", r"\1", shown)
