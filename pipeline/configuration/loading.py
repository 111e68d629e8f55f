"""Loading of `pipeline.yaml`: YAML, `--set` overrides, and every mistake reported in one message.

Plain relative paths in `dataset.shards`, `output` and `work` stay as they are written: they are relative to the current
directory, not to the file. `${NAME}` in an address is replaced from the environment.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

from pipeline.configuration.addresses import check_addresses, with_variables
from pipeline.configuration.problems import KeyPath, dotted, explain, show
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.secrets import holds_password

DEFAULT_NAME = "pipeline.yaml"

EXAMPLE = """\
dataset: {shards: "s3://my-bucket/raw/{00000..00099}.tar"}
tasks: [{field: json.label, classes: 10}]
output: s3://my-bucket/protected/
"""
"""A complete configuration, for messages: the three keys that have no default."""

SECRET_KEY = re.compile(r"key|secret|token|passw|credential|signature", re.IGNORECASE)
SECRETS_ELSEWHERE = (
    "credentials come only from environment variables (S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY); remove it here"
)


class UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice and gives a line to every value that cannot be read."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """Compose a mapping; of a key written twice, the last would silently win."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                continue
            if key.value in lines:
                first = lines[key.value]
                raise ComposerError(
                    None, None, f"key {key.value!r} is there twice, first in line {first}", key.start_mark
                )
            lines[key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Build a value; PyYAML raises bare ValueErrors for such as the date 2024-13-45."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise ConstructorError(None, None, f"{error}; text goes in quotes", node.start_mark) from error


def load_config(path: Path | None, overrides: list[str]) -> Config:
    """Read and check a configuration.

    Args:
        path: the YAML file, or a directory that holds `pipeline.yaml`; None: `pipeline.yaml` in the current directory.
        overrides: `a.b=c` of each `--set`, applied in order; c is read as YAML, `tasks.0.classes=3` enters a list.
            A key with a dot in it is set from above: `dataset.members={seg.png: keep}`.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: the file is missing or is no YAML, an override names no place, a variable is not set, or a value is
            wrong. The message has one line for each problem, `file: a.b.c: message; found VALUE`.
    """
    file, text = _read(path)
    data = _parse(text, str(file))
    if data is None:
        raise ConfigError(f"{file}: the file is empty; a complete configuration is, for example:\n\n{EXAMPLE}")
    if not isinstance(data, dict):
        raise ConfigError(
            f"{file}: the file must hold a mapping (`key: value`); found {show(data)}; for example:\n\n{EXAMPLE}"
        )
    return check_config(data, overrides, str(file))


def check_config(data: dict[Any, Any], overrides: list[str], source: str) -> Config:
    """Check a mapping with the keys of a configuration file; `overrides` are applied to it in place.

    Args:
        data: the keys and values.
        overrides: `a.b=c`, as `load_config` takes them.
        source: what messages call the mapping: the file's name.

    Raises:
        ConfigError: as `load_config`.
    """
    overridden = [_override(data, item) for item in overrides]

    def source_of(place: KeyPath) -> str:
        return "--set" if any(place[: len(top)] == top for top in overridden) else source

    data = with_variables(data, source_of)
    secrets = [f"{source_of(place)}: {dotted(place)}: {SECRETS_ELSEWHERE}" for place in _secrets(data)]
    if secrets:
        raise ConfigError("\n".join(secrets))
    check_addresses(data, source_of)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, data, source_of))) from None


def _read(path: Path | None) -> tuple[Path, str]:
    file = Path(DEFAULT_NAME) if path is None else path
    try:
        if file.is_dir():
            file = file / DEFAULT_NAME
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{file}: no such file (in {Path.cwd()}); name another, let `mtlue init URL` write one, or start with "
            f"these three lines:\n\n{EXAMPLE}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        return file, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise ConfigError(
            f"{file}: line {line}, column {column}: not UTF-8; found the byte 0x{content[error.start]:02x}; "
            "save the file as UTF-8"
        ) from None


def _parse(text: str, source: str) -> Any:
    """One YAML document; `source` begins the message of an error, which never quotes the text: it may hold a secret."""
    try:
        return yaml.load(text, UniqueKeyLoader)  # noqa: S506  (it is a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        message = ": ".join(part for part in (error.context, error.problem) if part)
        if "'\\t'" in message:
            message += "; YAML is indented with spaces, never with tabs"
        raise ConfigError(f"{source}: {where}{message}") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply; a configuration needs five levels at most") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise ConfigError(
            f"{source}: line {line}, column {column}: {error.reason}; found U+{error.character:04X}; remove it"
        ) from None


def _override(data: dict[Any, Any], item: str) -> KeyPath:
    """Apply one `a.b=c` to `data` and return the place that it set."""
    path, equals, text = item.partition("=")
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {path!r}: write KEY=VALUE with a dotted key, for example --set train.rounds=6")
    try:
        value = _parse(text, f"--set {path}")
    except ConfigError as error:
        raise ConfigError(f"{error.message}; such a value goes in quotes: --set '{path}=\"…\"'") from None
    here: Any = data
    place: KeyPath = ()
    for part in parts[:-1]:
        key = _key_in(here, part, place, path)
        # A copy: with YAML's anchors two keys may hold the same object.
        here[key] = {} if isinstance(here, dict) and here.get(key) is None else copy.copy(here[key])
        here = here[key]
        place = (*place, key)
    key = _key_in(here, parts[-1], place, path)
    here[key] = value
    return (*place, key)


def _key_in(container: Any, part: str, place: KeyPath, path: str) -> str | int:
    if isinstance(container, dict):
        return part
    if not isinstance(container, list):
        raise ConfigError(f"--set {path}: {dotted(place)} is not a mapping; found {show(container)}")
    if not part.isdecimal() or int(part) >= len(container):
        raise ConfigError(
            f"--set {path}: {dotted(place)} is a list of {len(container)}; found {part!r}, expected an index from 0"
        )
    return int(part)


def _secrets(data: Any) -> Iterator[KeyPath]:
    """Places of keys below a `storage` that are named like a credential, and of URLs with a password in them."""
    waiting: list[tuple[KeyPath, Any]] = [((), data)]
    seen: set[int] = set()  # with YAML's anchors a mapping may hold itself
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str) and holds_password(value):
            yield place
        if not isinstance(value, dict | list) or id(value) in seen:
            continue
        seen.add(id(value))
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if "storage" in place and isinstance(key, str) and SECRET_KEY.search(key):
                yield (*place, key)
            else:
                waiting.append(((*place, key), inner))
