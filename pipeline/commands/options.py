"""What several commands have in common: their options, the checked configuration, and the result as text or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from schemas.config import Config

ConfigPath = Annotated[Path | None, typer.Argument(metavar="[pipeline.yaml]", help="Configuration file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one key; may be repeated.")
]
Address = Annotated[str | None, typer.Option(help="Ray cluster: local, auto or ray://…; overrides compute.address.")]
Dashboard = Annotated[
    bool,
    typer.Option("--dashboard", help="Show Ray's dashboard on this machine while it runs, and metrics for Prometheus."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Progress and result as JSON, for machines.")]


def checked_config(
    path: Path | None, overrides: list[str] | None, address: str | None = None, *, dashboard: bool = False
) -> Config:
    """The configuration that the options name.

    Raises:
        ConfigError: the file is missing, or something in it or in an override is wrong.
    """
    from pipeline.configuration.loading import load_config

    extra = [f"compute.address={address}"] if address else []
    extra += ["compute.dashboard=true"] if dashboard else []
    return load_config(path, [*(overrides or []), *extra])


def print_result(lines: list[str], figures: dict[str, Any], *, as_json: bool) -> None:
    """Print a command's result on standard output: the lines for people, or the figures for machines."""
    print(json.dumps(figures, indent=1) if as_json else "\n".join(lines))
