"""`mtlue import`: a command for each dataset, whose options are the fields of the dataset's adapter."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.commands.init import Configuration, Output, name_of, write_configuration
from pipeline.commands.options import AsJson, print_result
from pipeline.configuration.addresses import address
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from schemas.imports import ImportSummary
    from schemas.model import Model
    from stages.adapters.adapter import Adapter

Out = Annotated[str, typer.Option("--out", help="URL or path of the shards.")]
PerShard = Annotated[int, typer.Option(min=1, help="Samples in a shard.")]
ByteLimit = Annotated[
    int | None, typer.Option(min=1, help="Source files in a shard, in bytes; instead of --shard-samples.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers; every core when left out. 1: without Ray.")]
Endpoint = Annotated[str | None, typer.Option(help="Endpoint of an S3-compatible store.")]


class Datasets(TyperGroup):
    """The datasets of the registry; an adapter is imported when its command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every dataset's name."""
        from stages.adapters.registry import dataset_names

        return dataset_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a dataset."""
        from stages.adapters.registry import adapter_class

        adapter = adapter_class(cmd_name)
        return None if adapter is None else dataset_command(cmd_name, adapter)


importer = typer.Typer(cls=Datasets, help="Turn a dataset into shards: one command per dataset.", no_args_is_help=True)


@importer.callback()
def _datasets() -> None:
    """Turn a dataset into shards: one command per dataset."""


def dataset_command(name: str, adapter: type[Adapter]) -> Any:
    """The command that imports a dataset."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    paragraphs = inspect.cleandoc(adapter.__doc__ or "").split("\n\n")
    app.command(name, help="\n\n".join(" ".join(each.split()) for each in paragraphs))(_import_of(adapter))
    return typer.main.get_command(app)


@dataclass(frozen=True)
class Target:
    """Where an import goes, and how it runs."""

    out: str
    endpoint_url: str | None
    shard_samples: int
    shard_bytes: int | None
    workers: int | None
    as_json: bool


def _import_of(adapter: type[Adapter]) -> Callable[..., None]:
    """A function with an option for each field of the adapter, and those that every import has."""
    fields = list(_option_fields(adapter))
    own = [_parameter(name, info, doc, name in adapter.positional) for _, name, info, doc in fields]
    own += [_option("config", Configuration, None), _option("output", Output, None)] if adapter.configured else []
    common = [
        _option("out", Out),
        _option("shard_samples", PerShard, adapter.shard_samples),
        _option("shard_bytes", ByteLimit, None),
        _option("workers", Workers, adapter.workers),
        _option("endpoint_url", Endpoint, None),
        _option("as_json", AsJson, False),
    ]
    parameters = sorted([*own, *common], key=lambda each: each.default is not each.empty)

    def run(**given: Any) -> None:
        target = Target(**{each.name: given.pop(each.name) for each in common})
        options: dict[str, Any] = {}
        for group, name, _, _ in fields:
            if group is None:
                options[name] = given[name]
            else:
                options.setdefault(group, adapter.model_fields[group].default.model_dump())[name] = given[name]
        run_adapter(adapter.of(**options), target, given.get("config"), given.get("output"))

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _option_fields(adapter: type[Adapter]) -> Iterator[tuple[str | None, str, FieldInfo, str]]:
    """Group (a field that is a model itself; None for the adapter's own), name, field and help of each option."""
    from schemas.model import Model, field_docs

    for name, info in adapter.model_fields.items():
        inner = info.annotation
        if name in adapter.hidden:
            continue
        if not (isinstance(inner, type) and issubclass(inner, Model)):
            yield None, name, info, field_docs(adapter).get(name, "")
            continue
        for part, field in inner.model_fields.items():
            if part not in adapter.hidden:
                yield name, part, _with_default(field, info.default, part), field_docs(inner).get(part, "")


def _with_default(field: FieldInfo, whole: Model, name: str) -> FieldInfo:
    """A field of a nested model, whose default is what the adapter gives it."""
    from copy import copy

    changed = copy(field)
    changed.default = getattr(whole, name)
    return changed


def _parameter(name: str, info: FieldInfo, doc: str, positional: bool) -> inspect.Parameter:
    """The option, or argument, of a field: its type, bounds, help and default."""
    kind: Any = info.annotation
    least, most = (
        next((getattr(each, end) for each in info.metadata if hasattr(each, end)), None) for end in ("ge", "le")
    )
    if kind is float:
        least = most = None  # pydantic checks it: typer has no open end
    if positional:
        given: Any = typer.Argument(help=doc)
    elif kind is bool:
        given = typer.Option(f"--{name.replace('_', '-')}", help=doc)
    else:
        given = typer.Option(help=doc, min=least, max=most)
    default = inspect.Parameter.empty if info.is_required() else info.get_default(call_default_factory=True)
    return _option(name, Annotated[kind, given], default)


def _option(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def run_adapter(adapter: Adapter, target: Target, config: str | None = None, output: str | None = None) -> None:
    """Import a dataset, and print what became of its rows; an adapter that is `configured` gets a configuration.

    Args:
        adapter: the dataset.
        target: where its shards go.
        config: file of the configuration, as `mtlue init` takes it.
        output: public place in it.
    """
    from pipeline.cluster.progress import Reporter
    from pipeline.run.import_data import SUMMARY, import_dataset
    from schemas.config import Compute
    from schemas.dataset import Storage
    from stages.adapters.importing import ShardLimit
    from stages.io.store.store import Store, places_overlap

    by_bytes = target.shard_bytes is not None
    store = Store(address(target.out, "--out"), Storage(endpoint_url=target.endpoint_url))
    if adapter.configured and places_overlap(store.url, adapter.origin):
        raise ConfigError(f"--out {target.out} and the folder {adapter.origin} overlap; choose a place outside of it")
    summary = import_dataset(
        adapter,
        store,
        Reporter("json" if target.as_json else "auto"),
        limit=ShardLimit(samples=None if by_bytes else target.shard_samples, bytes=target.shard_bytes),
        compute=Compute(cpus=target.workers or "auto"),
    )
    lines, figures = summary_lines(summary, store.join(SUMMARY)), summary_figures(summary)
    try:
        if adapter.configured:
            path, line = _configured(adapter, target, config, output)
            lines, figures = [*lines, line], {**figures, "configuration": path}
    finally:  # what was imported is said, whatever becomes of the configuration
        print_result(lines, figures, as_json=target.as_json)


def _configured(adapter: Adapter, target: Target, config: str | None, output: str | None) -> tuple[str | None, str]:
    """Write the configuration of what was imported; its file (None: it was printed), and a line about it."""
    url = address(target.out, "--out")
    path = Path(f"{name_of(url)}.yaml" if config is None else config)
    if config != "-" and path.exists():
        kept = f"kept        {path} is there already and stays as it is"
        return str(path), f"{kept}; `mtlue init {url} --config -` prints a new one"
    written = write_configuration(
        url,
        config,
        output=output,
        endpoint_url=target.endpoint_url,
        labels=adapter.known_labels(),
        names=adapter.known_names(),
        origin=f"mtlue import {adapter.name}",
    )
    if written is None:
        return None, "printed     the configuration, above"
    return str(written), f"written     {written}; read it, then: mtlue run {written}"


def summary_figures(summary: ImportSummary) -> dict[str, Any]:
    """The figures of an import as plain JSON values; `import.json` has each shard as well."""
    return {
        "samples": {split: count.samples for split, count in summary.splits.items()},
        "shards": {split: len(count.shards) for split, count in summary.splits.items()},
        "rows": summary.rows,
        "skipped": summary.skipped.model_dump()["reasons"],
    }


def summary_lines(summary: ImportSummary, url: str) -> list[str]:
    """What an import prints last."""
    lines = []
    for reason, skipped in summary.skipped.reasons.items():
        lines.append(f"left out    {skipped.count} rows, {reason}; the first: {skipped.examples[0]}")
    for split, count in summary.splits.items():
        lines.append(f"{split:<11} {count.samples} samples in {len(count.shards)} shards")
    lines.append(f"rows        {summary.rows}, of which {summary.skipped.total} left out")
    lines.append(f"summary     {url}")
    return lines
