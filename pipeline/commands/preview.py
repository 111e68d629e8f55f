"""`mtlue preview`: a sheet of clean, protected and difference, of what is published or would be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import ConfigPath, Overrides, checked_config
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from schemas.config import Config


def preview(
    config: ConfigPath = None,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("preview.png"),
    samples: Annotated[int, typer.Option(min=1, max=64, help="Samples on the sheet.")] = 6,
) -> None:
    """Write a sheet of clean, protected and difference ×16 side by side."""
    print(write_preview(checked_config(config, overrides), out, samples))


def write_preview(config: Config, path: Path, samples: int) -> Path:
    """Write the sheet as PNG and return its path.

    It shows the first published shard. While nothing is published, the first samples of the first shard are protected
    by the function that protects shards, into a temporary directory.

    Raises:
        ConfigError: nothing is published and no generator is trained, or the file cannot be written.
    """
    from pipeline.configuration.plans import Plans
    from pipeline.state.generators import fitting_generator
    from pipeline.state.places import Places
    from stages.report.pictures import made_pairs, preview_sheet, sample_pairs

    places, plans = Places(config), Plans(config)
    published = {entry.name for entry in places.output.list()}
    first = next((ref for ref in places.shards if ref.output_name in published), None)
    if first is not None:
        pairs = sample_pairs(places.source, first, places.output, plans.publish, samples)
    else:
        generator = fitting_generator(places.work, plans.train)
        if generator is None:
            raise ConfigError(
                f"{places.output.url}: nothing is published yet, and no generator of this configuration is trained; "
                "run `mtlue run` first"
            )
        from pipeline.run.tables import device
        from stages.perturbers.checkpoint import cached_perturber

        perturber, plan = cached_perturber(places.work, generator, device()), plans.protect(generator.content)
        pairs = made_pairs(places.source, places.shards[0], plan, plans.publish, perturber, samples)
    sheet = preview_sheet(pairs)
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be written ({error.strerror}); choose another file") from None
    return path
