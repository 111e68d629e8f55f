"""URLs of places: normalised, joined, and whether two of them overlap."""

from __future__ import annotations

import os
import re

from schemas.errors import ConfigError, StoreError
from schemas.secrets import holds_password, scrub

LOCAL = "file"
"""Protocol of paths on a local disk (or a mounted file system)."""

HUB = "hf"
"""Protocol of the Hugging Face Hub."""

_ALIASES = {"": LOCAL, "local": LOCAL, "s3a": "s3", "gcs": "gs"}
_AZURE = frozenset({"az", "abfs", "abfss"})
"""Protocols of one store; `abfs://container@account.dfs.core.windows.net/x` is `az://container/x` there."""


_SCHEMES = "s3a?|gs|gcs|az|abfss?|adl|hf|https?|file|local|memory"
_MALFORMED = re.compile(rf"(?:({_SCHEMES}):|({_SCHEMES})//|([A-Za-z][A-Za-z0-9+.-]*):[/\\])", re.IGNORECASE)
"""Start of a text that was meant as a URL, and lacks `://`."""

_OVER_HTTP = "a place on the web cannot be listed; download it, or name the object store itself (s3://, gs://, az://)"
_NOT_READ = {
    "http": _OVER_HTTP,
    "https": _OVER_HTTP,
}
"""Protocol → what to do instead."""


def split_url(url: str) -> tuple[str, str]:
    """Return protocol and path of a place: an absolute path on a local disk, `bucket/prefix` on an object store.

    A relative local path is taken from the current directory and `~` is the home directory; symbolic links stay.

    Raises:
        ConfigError: the URL has a password, is empty, names no bucket or lacks `://`. Or its protocol is not read
            (`https`), names no dataset on the Hugging Face Hub, or chains two protocols (`simplecache::s3://…`).
    """
    if holds_password(url):
        raise ConfigError(
            f"{scrub(url)}: the URL held a user name and a password; credentials come only from environment variables "
            "(S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY); take them out, and change them if others saw them"
        )
    protocol, separator, rest = url.partition("://")
    if not separator:
        protocol, rest = "", url
        if found := _MALFORMED.match(url):
            scheme = next(filter(None, found.groups())).lower()
            example = "file:///folder" if scheme in {"file", "local"} else f"{scheme}://bucket/prefix"
            raise ConfigError(f"{url!r} is no URL; write for example {example}, or ./{url} for a folder of this name")
    if "::" in protocol or not re.fullmatch(r"[A-Za-z0-9+.-]*", protocol):
        raise ConfigError(f"{url!r} is no URL of one store; write for example s3://bucket/prefix")
    protocol = _ALIASES.get(protocol.lower(), protocol.lower())
    if protocol == LOCAL:
        if not rest:
            raise ConfigError(f"{url!r} names no place; write a path or a URL such as s3://bucket/prefix")
        path = os.path.expanduser(rest)
        if path.startswith("~") and (path == rest):
            raise ConfigError(f"{url!r} names the home directory of an unknown user; write ./{rest} for such a folder")
        return LOCAL, os.path.abspath(path)
    if protocol in _NOT_READ:
        raise ConfigError(f"{scrub(url)}: {_NOT_READ[protocol]}")
    path = rest.strip("/")
    if protocol == HUB and not re.match(r"datasets/[^/]+/[^/]+", path):
        raise ConfigError(f"{url!r} names no dataset on the Hugging Face Hub; write hf://datasets/OWNER/NAME")
    if not path or (rest.startswith("/") and protocol != "memory"):
        raise ConfigError(f"{url!r} names no bucket; write for example {protocol}://bucket/prefix")
    return protocol, path


_CREDENTIALS = {
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
    "hf": "HF_TOKEN",
}
"""Protocol → variables of the environment that its credentials come from; all others are S3's."""


def credentials_of(url: str) -> str:
    """The variables that the credentials of a URL's store come from."""
    return _CREDENTIALS.get(url.partition("://")[0], "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


def format_url(protocol: str, path: str) -> str:
    """Undo `split_url`: a plain path on a local disk, `protocol://bucket/prefix` elsewhere."""
    return path if protocol == LOCAL else f"{protocol}://{path}"


def normalised_url(url: str) -> str:
    """The one spelling of a place: absolute local paths without `file://`, no slash at the end."""
    return format_url(*split_url(url))


def checked_name(name: str) -> str:
    """Refuse the name of an object that is none or that leads out of the store's root.

    Raises:
        StoreError: the name is empty, absolute, ends in a slash, or has a step `.` or `..`.
    """
    if not name or any(step in {"", ".", ".."} for step in name.split("/")) or re.search(r"[\x00-\x1f]", name):
        raise StoreError(f"{name!r} cannot name an object: use steps such as a/b.tar, without `.`, `..` and `//`")
    return name


def places_overlap(a: str, b: str) -> bool:
    """Tell whether two places are equal or one lies inside the other.

    Symbolic links of local paths are followed. In doubt the answer is True: `//` counts as `/`, and two accounts of
    Azure as one.
    """
    left, right = _steps(a), _steps(b)
    shared = min(len(left), len(right))
    return left[:shared] == right[:shared]


def _steps(url: str) -> list[str]:
    """Protocol and path as a list of steps from the root of everything."""
    protocol, path = split_url(url)
    if protocol == LOCAL:
        path = os.path.realpath(path)
    elif protocol in _AZURE:
        container, slash, below = path.partition("/")
        protocol, path = "az", container.partition("@")[0] + slash + below
    return [protocol, *(step for step in path.split("/") if step)]
