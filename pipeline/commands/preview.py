"""Preview: a sheet of clean, protected and difference, from the first shard that is published."""

from __future__ import annotations

from pathlib import Path

from pipeline.state.places import Places
from schemas.config import Config
from schemas.errors import ConfigError
from stages.report.before_after import sample_pairs
from stages.report.pictures import preview_sheet


def write_preview(config: Config, path: Path, samples: int) -> Path:
    """Write the sheet as PNG and return its path.

    Raises:
        ConfigError: nothing is published yet, or the file cannot be written.
    """
    places = Places(config)
    published = {entry.name for entry in places.output.list()}
    first = next((ref for ref in places.shards if ref.output_name in published), None)
    if first is None:
        raise ConfigError(f"{places.output.url}: nothing is published yet; run `mtlue run` first")
    sheet = preview_sheet(sample_pairs(places.source, first, places.output, config, samples))
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be written ({error.strerror}); choose another file") from None
    return path
