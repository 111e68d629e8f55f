"""The command line: `mtlue run | plan | verify | status | preview | import`."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cluster.progress import Reporter
from pipeline.commands.import_data import importer
from pipeline.commands.plan import plan_lines
from pipeline.commands.preview import write_preview
from pipeline.commands.run import run_figures, run_lines
from pipeline.commands.status import standing_lines, standing_of
from pipeline.commands.verify import verify_lines
from pipeline.configuration.loading import load_config
from pipeline.driver.plan import make_plan
from pipeline.driver.run import Run, exit_code
from pipeline.driver.verify import verify_prefix
from pipeline.state.places import Places
from schemas.config import Compute, Config, Storage
from schemas.errors import MtlueError
from stages.io.store.store import Store

INTERRUPTED = 130
"""Exit code after SIGINT or SIGTERM; the next run goes on."""

app = typer.Typer(
    name="mtlue",
    help="Protect an image dataset before it is published, so that nobody trains on it without consent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(importer, name="import")

ConfigPath = Annotated[Path | None, typer.Argument(metavar="[pipeline.yaml]", help="Configuration file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one key; may be repeated.")
]
Address = Annotated[str | None, typer.Option(help="Ray cluster: local, auto or ray://…; overrides compute.address.")]
AsJson = Annotated[bool, typer.Option("--json", help="Progress and result as JSON, for machines.")]


def _config(path: Path | None, overrides: list[str] | None, address: str | None = None) -> Config:
    extra = [f"compute.address={address}"] if address else []
    return load_config(path, [*(overrides or []), *extra])


def _print(lines: list[str], figures: dict[str, Any] | None, *, as_json: bool) -> None:
    print(json.dumps(figures, indent=1) if as_json else "\n".join(lines))


@app.command()
def run(
    config: ConfigPath = None,
    overrides: Overrides = None,
    address: Address = None,
    retrain: Annotated[bool, typer.Option(help="Train a new generator and protect every shard again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do everything that is not done yet: ingest, train, protect, audit, publish. Resumes; incremental."""
    checked = _config(config, overrides, address)
    result = Run(checked, Reporter("json" if as_json else "auto"), retrain=retrain)()
    _print(run_lines(result), run_figures(result), as_json=as_json)
    raise typer.Exit(exit_code(result))


@app.command()
def plan(config: ConfigPath = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what a run would do, its time and bytes, from a measured sample. Writes nothing."""
    checked = _config(config, overrides)
    made = make_plan(checked)
    workers = checked.compute.cpus if checked.compute.cpus != "auto" else os.cpu_count() or 1
    _print(plan_lines(made, workers), asdict(made), as_json=as_json)


@app.command()
def verify(
    url: Annotated[str, typer.Argument(help="Published prefix, as in `output`.")],
    config: Annotated[
        Path | None, typer.Option(help="Its configuration: every pixel is compared with the input as well.")
    ] = None,
    overrides: Overrides = None,
    fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the shards to read.")] = 1.0,
    endpoint_url: Annotated[str | None, typer.Option(help="Endpoint of an S3-compatible store.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a published prefix against its manifest; exit code 1 when anything is wrong."""
    reporter = Reporter("json" if as_json else "auto")
    if config is None:
        output = Store(url, Storage(endpoint_url=endpoint_url))
        verified = verify_prefix(output, reporter, Compute(), fraction=fraction)
    else:
        checked = _config(config, overrides)
        places = Places(checked)
        endpoint = endpoint_url or checked.dataset.storage.endpoint_url
        verified = verify_prefix(
            Store(url, Storage(endpoint_url=endpoint)),
            reporter,
            checked.compute,
            fraction=fraction,
            config=checked,
            source=places.source,
            shards=places.shards,
        )
    _print(verify_lines(verified), asdict(verified), as_json=as_json)
    raise typer.Exit(1 if verified.problems else 0)


@app.command()
def status(config: ConfigPath = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what is done, what is left, what was left out and who works on it. Writes nothing."""
    standing = standing_of(_config(config, overrides))
    _print(standing_lines(standing), asdict(standing), as_json=as_json)


@app.command()
def preview(
    config: ConfigPath = None,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("preview.png"),
    samples: Annotated[int, typer.Option(min=1, max=64, help="Samples on the sheet.")] = 6,
) -> None:
    """Write a sheet of clean, protected and difference ×16 side by side."""
    print(write_preview(_config(config, overrides), out, samples))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: errors become one clear line and an exit code; a traceback only with --debug."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_exit_code(lambda: app(args=arguments, standalone_mode=False), debug=debug))


def _exit_code(action: Callable[[], Any], *, debug: bool) -> int:
    try:
        code = action()
    except MtlueError as error:
        if debug:
            traceback.print_exc()
        print(f"mtlue: {error.message}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort, SystemExit):  # while Ray starts, it has its own handler of SIGTERM
        code = INTERRUPTED
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of the parser
            error.show()  # type: ignore[attr-defined]
            return 2
        if debug:
            traceback.print_exc()
        print(
            f"mtlue: {type(error).__name__}: {error}\nThis is a fault of mtlue; run again with --debug and report it.",
            file=sys.stderr,
        )
        return 1
    if code == INTERRUPTED:  # typer turns an interrupt into this exit code
        print("mtlue: interrupted; what is done is kept, the next run goes on from there", file=sys.stderr)
    return code if isinstance(code, int) else 0
