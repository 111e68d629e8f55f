"""Writes docs/reference/: every key, command and exit code, from the code itself. Called by `make docs`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from pipeline import cli
from pipeline.commands.schema import configuration_schema
from schemas.errors import INTERRUPTED, TERMINATED, UNREAD, MtlueError
from schemas.perturbers import SETTINGS
from schemas.training import Train

REFERENCE = Path(__file__).parent / "reference"

HEAD = "<!-- Written by docs/generate.py from the code. Change the code, not this page. -->\n\n"

SHELL_CODES = {
    INTERRUPTED: "Interrupted by Ctrl-C. What is done is kept; the next run goes on from there.",
    UNREAD: "Nobody reads the output any more, as after `mtlue status | head`. The next run goes on from there.",
    TERMINATED: "Ended by SIGTERM, as a scheduler sends it. What is done is kept; the next run goes on from there.",
}


def main() -> None:
    """Write every page of the reference."""
    REFERENCE.mkdir(exist_ok=True)
    for name, page in pages().items():
        (REFERENCE / name).write_text(HEAD + page, encoding="utf-8")


def pages() -> dict[str, str]:
    """File name → Markdown."""
    return {
        "configuration.md": configuration_page(configuration_schema()),
        "commands.md": commands_page(),
        "exit-codes.md": exit_codes_page(),
    }


def configuration_page(schema: dict[str, Any]) -> str:
    """Every key of a configuration, section by section."""
    models = schema["$defs"]
    kinds = models_of(schema["properties"]["tasks"], models)
    top = {"title": "Top level", **{key: schema[key] for key in ("properties", "required")}}
    sections = [section("", top, models)]
    for name in ("dataset", "tasks", "protection", "train", "protect", "audit", "compute", "watch"):
        if name == "tasks":
            sections.append(tasks_section(kinds, models))
            continue
        (model,) = models_of(schema["properties"][name], models)
        sections.append(section(name, model, models))
        sections += [parts_table()] if name == "train" else []
    return (
        "# Configuration\n\nA configuration is a YAML file. Three keys suffice: `dataset.shards`, `tasks` and "
        "`output`. A key that mtlue does not know is an error. `--set A.B=C` overrides one key of the file. `mtlue "
        "schema` prints all of this page as a JSON schema, with which editors complete and check a file.\n\n"
    ) + "\n".join(sections)


def section(place: str, model: dict[str, Any], models: dict[str, Any], level: int = 2) -> str:
    """A heading, what the section is, and its keys; sections inside it follow."""
    title = f"`{place}`" if place else model["title"]
    lines = [f"{'#' * level} {title}\n", "" if not place else f"{text(model.get('description', ''))}\n"]
    inner = []
    for name, found in model["properties"].items():
        lines.append(key(f"{place}.{name}".lstrip("."), found, name in model.get("required", ()), models))
        if place:
            inner += [
                section(f"{place}.{name}", each, models, level + 1)
                for each in models_of(found, models)
                if found.get("type") != "array"
            ]
    return "\n".join(["\n".join(lines), *inner])


def tasks_section(kinds: list[dict[str, Any]], models: dict[str, Any]) -> str:
    """Each kind of task with its keys; those that every kind has stand once."""
    common = {name: kinds[0]["properties"][name] for name in ("name", "kind", "field")}
    lines = [
        "## `tasks`\n",
        "A list: what the labels of an image say, one entry a task. `kind` decides which other keys an entry has.\n",
        *(key(f"tasks.{name}", found, name == "field", models) for name, found in common.items() if name != "kind"),
        entry(
            "tasks.kind",
            f"one of {words([constant(kind) for kind in kinds])} · default `classification`",
            "The kind of label. Each kind has a section below.",
        ),
    ]
    for kind in kinds:
        name = constant(kind)
        lines.append(f"### `kind: {name}`\n\n{text(kind.get('description', ''))}\n")
        for own, found in kind["properties"].items():
            if own not in common and not internal(found, models):
                lines.append(key(f"{name}.{own}", found, own in kind.get("required", ()), models))
    return "\n".join(lines)


def constant(kind: dict[str, Any]) -> str:
    """The word of a kind of task."""
    return str(kind["properties"]["kind"]["const"])


def internal(found: dict[str, Any], models: dict[str, Any]) -> bool:
    """Whether mtlue writes a key itself: what a training has found, or the place of a finding in its set."""
    return any(model["title"] in {"Part", "Values"} for model in models_of(found, models))


def key(name: str, found: dict[str, Any], required: bool, models: dict[str, Any]) -> str:
    """A key, its type and default, and what it means."""
    facts = type_of(found, models)
    if required:
        facts += " · **required**"
    elif not models_of(found, models):
        facts += f" · default {default_of(found)}"
    return entry(name, facts, found.get("description", ""))


def entry(name: str, facts: str, meaning: str) -> str:
    """An entry of a list of definitions; others can link to it as `#key-<name>`."""
    anchor = re.sub(r"[^a-z0-9]+", "-", name.lower())
    return f'<a id="key-{anchor}"></a>`{name}`\n:   {facts}\n\n    {text(meaning)}\n'


def models_of(found: dict[str, Any], models: dict[str, Any]) -> list[dict[str, Any]]:
    """The sections that a key may hold."""
    if "$ref" in found:
        return [models[found["$ref"].rpartition("/")[2]]]
    inner = [*found.get("anyOf", ()), *found.get("oneOf", ()), *([found["items"]] if "items" in found else [])]
    return [model for each in inner for model in models_of(each, models)]


NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}


def type_of(found: dict[str, Any], models: dict[str, Any]) -> str:
    """The type of a value in words."""
    if found.get("type") == "array":
        return f"list of {plural(found, models)}"
    if models_of(found, models):
        return "section" if "anyOf" not in found else "section or null"
    if "anyOf" in found:
        return " or ".join(dict.fromkeys(type_of(each, models) for each in found["anyOf"]))
    if "enum" in found:
        return f"one of {words(found['enum'])}"
    if "const" in found:
        return f"`{found['const']}`"
    if found.get("type") == "object":
        return f"mapping of {NAMES['string']} to {type_of(found['additionalProperties'], models)}"
    return NAMES[found["type"]] + limits(found)


def plural(found: dict[str, Any], models: dict[str, Any]) -> str:
    """What a list is of."""
    if models_of(found, models):
        return "sections"
    return type_of(found["items"], models)


def limits(found: dict[str, Any]) -> str:
    """The range of a number."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    shown = [f"{sign} {found[name]:,}" for name, sign in signs.items() if name in found]
    return f" ({', '.join(shown)})" if shown else ""


def default_of(found: dict[str, Any]) -> str:
    """The default as YAML has it."""
    default = found.get("default", {} if found.get("type") == "object" else [])
    if default is None:
        return "`null`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float) and abs(default * 255 - round(default * 255)) < 1e-9 and 0 < default < 1:
        return f"`{round(default * 255)}/255`"
    if isinstance(default, list):
        return f"`[{', '.join(map(str, default))}]`"
    return f"`{default}`" if default != "" else "empty"


def words(names: list[Any]) -> str:
    """Values that may be given."""
    return ", ".join(f"`{name}`" for name in names)


def text(words: str) -> str:
    """A description as Markdown: a page of this site that it names becomes a link, None is written as in YAML."""
    words = re.sub(r"\bNone:", "`null`:", words)
    return re.sub(r"\(?docs/(\w+)\.md((?:, [^);]+)?)\)?", r"([\1](../\1.md)\2)", words)


def parts_table() -> str:
    """Which keys of `train` each perturber takes."""
    shared = [name for name in Train.model_fields if not any(name in row for _, row in settings())]
    lines = [
        "### Which perturber takes which key\n",
        f"Every perturber takes {words([name for name in shared if name != 'perturber'])}. A key that has no part in "
        "the chosen perturber is an error.\n",
        "| perturber | further keys |",
        "|---|---|",
        *(f"| `{name}` | {words(list(row)) or 'none'} |" for name, row in settings()),
    ]
    return "\n".join(lines) + "\n"


def settings() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each perturber, or each of its methods, with its keys."""
    for name, row in SETTINGS.items():
        if not row.methods:
            yield name, row.keys
        for method, own in row.methods.items():
            yield f"{name}, method: {method}", (*row.keys, *own)


def commands_page() -> str:
    """Every command with its arguments and options."""
    group: Any = typer.main.get_command(cli.app)
    context = group.make_context("mtlue", ["run"], resilient_parsing=True)
    lines = [
        "# Commands\n",
        f"{group.help} `python -m mtlue` is the same command. [Exit codes](exit-codes.md) say how a command ended.\n",
        "| option of every command | |",
        "|---|---|",
        *rows(group, context),
        "",
    ]
    for name, command in group.commands.items():
        lines.append(command_section(f"mtlue {name}", command, context))
        if name == "import":
            lines += [
                command_section(f"mtlue import {each}", command.get_command(context, each), context, "###")
                for each in command.list_commands(context)
            ]
    return "\n".join(lines)


def command_section(name: str, command: Any, context: Any, heading: str = "##") -> str:
    """A command: what it does, its arguments and its options."""
    table = rows(command, context)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    head = f"{heading} `{name}`\n\n{text(command.help or '')}\n\n```text\n{usage}\n```\n"
    return head + ("\n".join(["", "| argument or option | |", "|---|---|", *table]) + "\n" if table else "")


def rows(command: Any, context: Any) -> list[str]:
    """A row of a table for each argument and option that the help shows."""
    records = [parameter.get_help_record(context) for parameter in command.params]
    return [f"| `{_cell(record[0])}` | {_cell(record[1])} |" for record in records if record is not None]


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", r"\|")


def exit_codes_page() -> str:
    """Every exit code with the errors that lead to it."""
    lines = [
        "# Exit codes\n",
        "A command prints one line about what went wrong: the file, sample and field, the value found and what to do. "
        "Its exit code says what kind of thing it was.\n",
        "## 0\n\nDone. Nothing to do counts as done.\n",
    ]
    found: dict[int, list[type[MtlueError]]] = {}
    for error in errors(MtlueError):
        found.setdefault(error.exit_code, []).append(error)
    for code, kinds in sorted(found.items()):
        lines.append(f"## {code}\n")
        lines += [f"- `{kind.__name__}`: {first_paragraph(kind)}" for kind in kinds]
        lines.append("")
    lines += [f"## {code}\n\n{meaning}\n" for code, meaning in sorted(SHELL_CODES.items())]
    lines.append(
        "A `SampleError` ends no run: the sample is left out, listed and counted. A `TransientError` is tried again "
        "before it counts. `--debug` adds the traceback to any error."
    )
    return "\n".join(lines) + "\n"


def errors(error: type[MtlueError]) -> Iterator[type[MtlueError]]:
    """Every error below one, each once."""
    yield from dict.fromkeys(_below(error))


def _below(error: type[MtlueError]) -> Iterator[type[MtlueError]]:
    for each in error.__subclasses__():
        yield each
        yield from _below(each)


def first_paragraph(kind: type) -> str:
    """What an error means."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


if __name__ == "__main__":
    main()
