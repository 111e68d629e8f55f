"""The configurations in docs/configs/ are read as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.configuration.loading import load_config

CONFIGS = sorted((Path(__file__).parents[4] / "docs" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_ready_configuration_loads_and_keeps_its_places_apart(path: Path) -> None:
    config = load_config(path, [])
    assert config.name == path.stem
    assert config.dataset.test_shards is not None
    assert config.output.rpartition("/")[0] != config.work.rpartition("/")[0]


def test_there_are_ready_configurations() -> None:
    assert {"celeba", "multifashion"} <= {path.stem for path in CONFIGS}
