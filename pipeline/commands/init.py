"""`mtlue init`: look at a few samples, and write the configuration that fits them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.configuration.addresses import address
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from stages.survey.writing import Placed

SAMPLES = 2000
"""Samples that are read unless the command says otherwise."""

Configuration = Annotated[
    str | None, typer.Option("--config", help="Configuration to write; NAME.yaml when left out, - for standard output.")
]
Output = Annotated[str | None, typer.Option(help="Public place of the protected shards; URL-protected when left out.")]
Work = Annotated[str | None, typer.Option(help="Private place; URL-private when left out.")]


def init(
    url: Annotated[str, typer.Argument(help="Shards: a folder, prefix, glob or brace range of .tar or .parquet.")],
    config: Configuration = None,
    output: Output = None,
    work: Work = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples that are looked at.")] = SAMPLES,
    endpoint_url: Annotated[str | None, typer.Option(help="Endpoint of an S3-compatible store.")] = None,
) -> None:
    """Look at a few samples of a dataset, and write a commented configuration that fits them."""
    path = write_configuration(
        address(url, "URL"), config, output=output, work=work, samples=samples, endpoint_url=endpoint_url
    )
    if path is not None:
        print(f"written     {path}; read it, then: mtlue run {path}")


def write_configuration(
    url: str,
    config: str | None,
    *,
    output: str | None = None,
    work: str | None = None,
    samples: int = SAMPLES,
    endpoint_url: str | None = None,
    labels: Iterable[Mapping[str, Any]] | None = None,
    names: Mapping[str, list[str]] | None = None,
    origin: str = "mtlue init",
) -> Path | None:
    """Write the configuration of a dataset; None where it was printed.

    Args:
        url: where its shards lie.
        config: file to write; `-` prints; None: `<name>.yaml` in this directory.
        output: public place; None: beside the shards.
        work: private place; None: beside the shards.
        samples: how many are looked at.
        endpoint_url: endpoint of an S3-compatible store.
        labels: those of every sample, where they are known.
        names: field → names of its classes, where they are known.
        origin: the command, for the first line.

    Raises:
        ConfigError: the file is there already, the shards are not, or an address names no place.
        InputError: no sample has an image and a label.
    """
    from schemas.dataset import Storage
    from stages.io.shards.listing import list_shards
    from stages.survey.survey import survey
    from stages.survey.writing import configuration_text

    name = name_of(url)
    path = Path(f"{name}.yaml" if config is None else config)
    if config != "-":
        refuse_existing(path)
    for key, place in (("--output", output), ("--work", work)):
        if place is not None:
            address(place, key)
    store, shards = list_shards(url, Storage(endpoint_url=endpoint_url), "URL")
    placed = _placed(url, name, [ref.name for ref in shards], store.url, output, work, endpoint_url, origin)
    seen = survey(store, shards, samples=samples, labels=labels)
    seen.class_names |= names or {}
    text = configuration_text(seen, placed)
    _check(text, str(path))
    if config == "-":
        print(text, end="")
        return None
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        refuse_existing(path)
    except OSError as error:
        raise ConfigError(f"--config {path}: cannot be written ({error.strerror}); choose another file") from None
    return path


def refuse_existing(path: Path) -> None:
    """Raise ConfigError where a file is there: it is never overwritten."""
    if path.exists() or path.is_symlink():
        raise ConfigError(
            f"{path} is there already and stays as it is; choose another file with --config, or - to print it"
        )


def name_of(url: str) -> str:
    """A name for the dataset: the last step of its place.

    >>> name_of("s3://bucket/raw/birds/"), name_of("data/my birds/{000..009}.tar")
    ('birds', 'my-birds')
    """
    last = _place_of(url).rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-") or "dataset"


def _place_of(url: str) -> str:
    """The folder in front of the first wildcard, as it was typed; one that has no name of its own in full."""
    start = re.split(r"[*?\[{]", url, maxsplit=1)[0]
    if start != url or start.endswith((".tar", ".parquet")):
        start = start.rpartition("/")[0] or "."
    place = start.rstrip("/")
    return os.path.abspath(place or "/") if place.rpartition("/")[2] in {"", ".", ".."} else place


def _placed(
    url: str,
    name: str,
    shards: list[str],
    root: str,
    output: str | None,
    work: str | None,
    endpoint_url: str | None,
    origin: str,
) -> Placed:
    """The places of a configuration: those that were asked for, or beside the shards."""
    from stages.io.store.urls import normalised_url
    from stages.survey.survey import Splits, splits_of
    from stages.survey.writing import Placed

    place = _place_of(url)
    splits = splits_of(shards) if normalised_url(url) == root else Splits()
    return Placed(
        name=name,
        shards=[f"{url.rstrip('/')}/{pattern}" for pattern in splits.protected] or [url],
        test_shards=[f"{url.rstrip('/')}/{pattern}" for pattern in splits.held_out],
        output=output or f"{place}-protected",
        work=work or f"{place}-private",
        endpoint_url=endpoint_url,
        origin=origin,
    )


def _check(text: str, source: str) -> None:
    """Run the configuration's own checks on what was written."""
    import yaml

    from pipeline.configuration.loading import check_config

    check_config(yaml.safe_load(text), [], source)
