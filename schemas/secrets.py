"""Credentials have no place in anything that is shown: one scrubber for addresses and texts."""

from __future__ import annotations

import os
import re

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Environment variables whose values are never shown."""

_SCHEME = r"\b[a-zA-Z][a-zA-Z0-9+.-]*:"
# An address may lack its scheme: that is when libraries complain of it.
_USER = re.compile(rf"((?:{_SCHEME}|(?<![^\s'\"(=]))//)([^\s/'\"<>]*)@")
_QUERY = re.compile(rf"({_SCHEME}//[^\s?#'\"<>]*)[?#][^\s'\"<>]*")


def scrub(text: object) -> str:
    """Take credentials out of a text: of every address the user name, password, query and fragment (signed URLs).

    Values of the credentials in this process's environment are replaced by the variables' names.
    """
    shown = str(text)
    for name in VARIABLES:
        if value := os.environ.get(name):
            shown = shown.replace(value, f"${name}")
    return _QUERY.sub(r"\1", _USER.sub(r"\1", shown))


def holds_password(text: str) -> bool:
    """Whether an address in a text has a password in it; a user name alone (`abfs://container@account`) is none."""
    return any(match[2].partition(":")[2] for match in _USER.finditer(text))
