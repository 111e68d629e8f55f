"""Credentials have no place in anything that is shown: one scrubber for addresses and texts."""

from __future__ import annotations

import os
import re

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "HF_TOKEN",
)
"""Environment variables whose values are never shown."""

SHORTEST = 8
"""Letters of a value that is taken out of texts; a shorter one is an ordinary word on a test machine, and no secret."""

_SCHEME = r"\b[a-zA-Z][a-zA-Z0-9+.-]*:"
# An address may lack its scheme: that is when libraries complain of it.
_START = rf"((?:{_SCHEME}|(?<![^\s'\"(=]))//)"
_USER = re.compile(rf"{_START}([^\s/'\"<>]*)@")
# A password may hold slashes: then what follows the colon is no port (`//host:9000/a@b` is an ordinary path).
_PASSWORD = re.compile(rf"{_START}([^\s/'\"<>:@]*:(?!\d+/)[^\s'\"<>]*)@")
_QUERY = re.compile(rf"({_SCHEME}//[^\s?#'\"<>]*)[?#][^\s'\"<>]*")


def scrub(text: object) -> str:
    """Take credentials out of a text: of every address the user name, password, query and fragment (signed URLs).

    Values of the credentials in this process's environment are replaced by the variables' names.
    """
    return _QUERY.sub(r"\1", scrub_names(text))


def scrub_names(text: object) -> str:
    """As `scrub`, but a query stays: in a place that a user wrote, `?` is a wildcard."""
    shown = str(text)
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST:
            shown = shown.replace(value, f"${name}")
    return _USER.sub(r"\1", _PASSWORD.sub(r"\1", shown))


def holds_password(text: str) -> bool:
    """Whether an address in a text has a password in it; a user name alone (`abfs://container@account`) is none."""
    found = [*_USER.finditer(text), *_PASSWORD.finditer(text)]
    return any(match[2].partition(":")[2] for match in found)
