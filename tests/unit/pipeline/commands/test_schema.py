"""`mtlue schema`: every property is described, every shipped configuration fits, typos do not."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipeline.commands.schema import configuration_schema, models_in
from schemas.config import Config
from tests.running import mtlue

ROOT = Path(__file__).parents[4]
SHIPPED = [ROOT / "pipeline.yaml", *sorted((ROOT / "docs" / "configs").glob("*.yaml"))]


@cache
def validator() -> Draft202012Validator:
    schema = configuration_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(data: Any) -> list[str]:
    return [error.message for error in validator().iter_errors(data)]


def shipped(name: str = "pipeline.yaml") -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_every_property_says_what_it_means() -> None:
    schema = configuration_schema()
    sections = {"Config": schema, **schema["$defs"]}
    bare = [
        f"{section}.{name}"
        for section, found in sections.items()
        for name, each in found["properties"].items()
        if len(each.get("description", "")) < 5
    ]
    assert bare == []
    assert len({model.__name__ for model in models_in(Config)}) == len(sections), "two models share a name"
    assert schema["properties"]["work"]["description"].startswith("Private place: cache, generator, ledger")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_fits(path: Path) -> None:
    assert problems(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("epsilon", ["8/255", " 16 / 255", 0.03, "0.03", 8 / 255])
def test_the_bound_may_be_a_fraction_in_text(epsilon: Any) -> None:
    data = shipped()
    data["protection"]["epsilon"] = epsilon
    assert problems(data) == []
    Config.model_validate(data)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("trian",), {}),
        (("train", "round"), 3),
        (("train", "perturber"), "code"),
        (("dataset", "member"), {}),
        (("dataset", "members"), {"txt": "kep"}),
        (("protection", "epsilon"), "8/255 px"),
        (("protect", "encoding"), "jpeg"),
        (("audit", "victims"), ["resnet19"]),
        (("tasks", 0, "klasses"), 3),
        (("tasks", 0, "kind"), "clasification"),
        (("output",), 3),
    ],
)
def test_a_typo_is_refused_by_the_schema_as_by_the_configuration(place: tuple[Any, ...], value: Any) -> None:
    data = deepcopy(shipped())
    here = data
    for part in place[:-1]:
        here = here[part]
    here[place[-1]] = value
    assert problems(data)
    with pytest.raises(ValueError, match="validation error"):
        Config.model_validate(data)


def test_it_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    ended = mtlue(capsys, "schema")
    assert ended.code == 0
    assert json.loads(ended.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
