"""`mtlue import`: its commands and options are those of the adapters."""

from __future__ import annotations

import re

import pytest

from pipeline.commands.imports import Datasets, dataset_command
from stages.datasets.registry import DATASETS, adapter_class

OPTIONS = {
    "outlines": "out train=4000 test=600 size=32 seed=0 tasks=2 shard-samples=400",
    "scenes": "out train=2400 test=600 size=64 seed=0 contrast=0.35 shard-samples=400",
    "rooms": "out train=2000 test=400 size=64 seed=0 contrast=0.6 shard-samples=400",
    "multifashion": "source out train=60000 test=10000 size=36 seed=0 rgb=False shard-samples=1000",
    "celeba": "source out crop=140 size=70 original=False shard-samples=1000",
    "utkface": "source out size=140 original=False test-percent=20 shard-samples=1000",
    "chestxray14": "source out size=256 original=False split=lists test-percent=20 shard-samples=1000",
    "nyuv2": "source out classes=13 shard-samples=200",
}
"""What each command has taken since 0.1.0, with its defaults."""

COMMON = "shard-bytes=None workers={workers} endpoint-url=None json=False help"


def options_of(name: str) -> set[str]:
    """Options of a command as `name` where it is required, else `name=default`."""
    adapter = adapter_class(name)
    assert adapter is not None
    found = set()
    for option in dataset_command(name, adapter).params:
        default = "" if option.required else f"={option.default}"
        found |= {f"{spelling.removeprefix('--')}{default}" for spelling in option.opts}
    return found


@pytest.mark.parametrize("name", OPTIONS)
def test_a_command_keeps_its_options_and_defaults(name: str) -> None:
    workers = 1 if name in {"outlines", "scenes", "rooms", "multifashion"} else None
    assert options_of(name) == {*OPTIONS[name].split(), *COMMON.format(workers=workers).split()} - {"help"}


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_option_says_what_it_is(name: str) -> None:
    adapter = adapter_class(name)
    assert adapter is not None
    command = dataset_command(name, adapter)
    assert command.help
    assert adapter.name == name
    for option in command.params:
        assert re.match(r"[A-Z].*\.$", option.help), option.name  # type: ignore[attr-defined]


def test_the_group_lists_every_dataset_and_knows_no_other() -> None:
    group = Datasets(name="import")
    assert group.list_commands(None)[: len(DATASETS)] == [*DATASETS]  # type: ignore[arg-type]
    assert group.get_command(None, "imagenet") is None  # type: ignore[arg-type]
