"""`mtlue verify`: check what was published, and list every problem."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import AsJson, Overrides, checked_config, print_result
from pipeline.configuration.addresses import address

if TYPE_CHECKING:
    from pipeline.run.verify import Verified


def verify(
    url: Annotated[str, typer.Argument(help="Published prefix, as in `output`.")],
    config: Annotated[
        Path | None, typer.Option(help="Its configuration: every pixel is compared with the input as well.")
    ] = None,
    overrides: Overrides = None,
    fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the shards to read.")] = 1.0,
    endpoint_url: Annotated[str | None, typer.Option(help="Endpoint of an S3-compatible store.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Certificate that must belong to it, with evidence.json beside it.")
    ] = None,
    signer: Annotated[
        Path | None, typer.Option(help="Public key (.pub) that must have signed the certificate.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a published prefix against its manifest; exit code 1 when anything is wrong."""
    url = address(url, "URL")
    checked = checked_config(config, overrides) if config is not None else None

    from pipeline.cluster.progress import Reporter
    from pipeline.run.verify import verify_url

    reporter = Reporter("json" if as_json else "auto")
    verified = verify_url(
        url,
        reporter,
        checked,
        fraction=fraction,
        endpoint_url=endpoint_url,
        certificate=certificate,
        signer=signer,
    )
    print_result(verify_lines(verified), asdict(verified), as_json=as_json)
    raise typer.Exit(1 if verified.problems else 0)


def verify_lines(verified: Verified) -> list[str]:
    """What `mtlue verify` prints."""
    lines = [f"problem     {problem}" for problem in verified.problems]
    lines.append(f"verified    {verified.shards} shards, {verified.samples} samples")
    if verified.max_delta is not None:
        lines.append(f"max |Δ|     {verified.max_delta} of 255, compared with the input")
    if verified.psnr_mean is not None:
        lines.append(f"PSNR        {verified.psnr_mean:.1f} dB on average")
    if verified.certified:
        lines.append("certificate belongs to this manifest and to the evidence beside it")
    lines.append(f"result      {len(verified.problems)} problems" if verified.problems else "result      clean")
    return lines
