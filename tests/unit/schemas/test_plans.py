"""Plans: whatever decides a result is in their fingerprint, nothing else is, and no fingerprint moves by itself.

A pinned fingerprint that moves means that every finished run with that configuration does the stage again. Is it meant?
Then write the new pins here. A default that changes is the other danger: see the test on defaults.
"""

from __future__ import annotations

import functools
import operator
import types
import typing
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, create_model
from pydantic_core import to_jsonable_python

from pipeline.configuration.loading import load_config
from pipeline.configuration.plans import ingest_plan, protect_plan, train_plan, victim_plans
from schemas.config import Config
from schemas.plans import GeneratorSpec, IngestPlan, Noise, Plan, TrainPlan, VictimPlan
from schemas.training import Audit, Train
from tests import builders

ROOT = Path(__file__).parents[3]

PINS: dict[str, dict[str, str]] = {
    "minimal": {
        "IngestPlan": "483be6b733cc6f66",
        "TrainPlan": "fe10f22525372292",
        "GeneratorSpec": "7d81b7e4265fee36",
        "ProtectPlan": "70379c2be4ac3868",
        "VictimPlan": "0e71c187bf67f510",
    },
    "multifashion": {
        "IngestPlan": "3af1dd5d1d58bd03",
        "TrainPlan": "513364ba1693dead",
        "GeneratorSpec": "2526beb435975b1b",
        "ProtectPlan": "204f558f12b89b1e",
        "VictimPlan": "9056066cbbdf8736",
    },
    "scenes": {
        "IngestPlan": "b6c1e950c8cb1df9",
        "TrainPlan": "7cfc92aa1f534cd0",
        "GeneratorSpec": "d67aab263971174b",
        "ProtectPlan": "b0baf07b7ad12d5d",
        "VictimPlan": "10269054ec66eecc",
    },
}
"""Configuration → plan → its fingerprint."""

ABOUT = ("license", "version", "citation", "url", "creator", "date")

DEFAULTS: dict[str, dict[str, Any]] = {
    "GeneratorSpec": {
        "network": "generator",
        "preset": "",
        "backbones": [],
        "width": 0,
        "copies": 1,
        "targeted": True,
        "achromatic": False,
        "cell": 1,
        "balanced": False,
    },
    "IngestPlan": {"transforms": []},
    "Layout": {"image": "jpg;jpeg;png;webp", "members": {}, "max_pixels": 67108864},
    "Noise": {"kind": "noise", "seed": 0},
    "ProtectPlan": {"output_format": "tar"},
    "PublishPlan": {"output_format": "tar", "published": dict.fromkeys(ABOUT, "")},
    "Published": dict.fromkeys(ABOUT, ""),
    "ReportPlan": {},
    "BinaryTask": {"name": "", "classes": None, "minus_one": "no", "part": None},
    "ClassificationTask": {"name": "", "kind": "classification", "missing": None},
    "DepthTask": {"name": "", "scale": 1.0, "low": 0.0, "unit": "m"},
    "MultilabelTask": {"name": "", "minus_one": "no", "separator": "|", "nothing": "No Finding"},
    "NormalsTask": {"name": ""},
    "Part": {"separator": "|", "nothing": "No Finding"},
    "RegressionTask": {
        "name": "",
        "bins": 8,
        "edges": None,
        "low": None,
        "high": None,
        "missing": None,
        "unit": "",
        "values": None,
    },
    "SegmentationTask": {"name": "", "ignore": 255},
    "Train": {
        "perturber": "codes",
        "rounds": 12,
        "method": "em",
        "targeted": True,
        "backbones": ["resnet18"],
        "width": 64,
        "weights": {},
        "generator": "small",
        "resolution": 64,
        "epochs": 60,
        "batch_size": 128,
        "surrogate_epochs": 60,
        "weighting": "ls",
        "augment": ["crop", "flip"],
        "robust": [],
        "achromatic": False,
        "surrogate_sizes": [1.0],
        "cell": 1,
        "lambda_intra": 10.0,
        "lambda_inter": 200.0,
        "max_samples": 200000,
        "seed": 0,
    },
    "TrainPlan": {"weights": {}},
    "VictimPlan": {
        "learning_rate": 1e-3,
        "weighting": "ls",
        "only": None,
        "countermeasure": "none",
        "second": None,
        "weights": "",
        "ends_early": False,
    },
}
"""Model that a plan is made of → its defaults as plain JSON."""

VERSIONS = {
    "GeneratorSpec": 2,
    "IngestPlan": 3,
    "ProtectPlan": 3,
    "PublishPlan": 1,
    "ReportPlan": 1,
    "TrainPlan": 4,
    "VictimPlan": 2,
}
"""Plan → its version."""


def configuration(name: str) -> Config:
    if name == "minimal":
        return Config.model_validate(
            {
                "dataset": {"shards": "s3://raw/*.tar"},
                "tasks": [{"field": "json.label", "classes": 10}],
                "output": "s3://public/things",
            }
        )
    # As people have it who have run it already; the files no longer keep JSON as a whole.
    return load_config(ROOT / f"docs/configs/{name}.yaml", ["dataset.members={json: keep}"])


def plans_of(config: Config) -> dict[str, Plan]:
    """Each plan as a run makes it from this configuration."""
    audit = config.audit or Audit()
    return {
        "IngestPlan": ingest_plan(config),
        "TrainPlan": train_plan(config),
        "GeneratorSpec": train_plan(config).spec,
        "ProtectPlan": protect_plan(config, "c0ffee"),
        "VictimPlan": victim_plans(config, audit, "protected")[0],
    }


# --- what is finished stays finished ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minimal", "multifashion", "scenes"])
def test_the_fingerprints_of_known_configurations_stay_as_they_are(name: str) -> None:
    found = {plan: made.fingerprint for plan, made in plans_of(configuration(name)).items()}
    assert found == PINS.get(name), f"finished runs would do these stages again; if it is meant, pin {found}"


def models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inside = [models_in(field.annotation) for field in annotation.model_fields.values()]
        return {annotation}.union(*inside)
    return set().union(*map(models_in, typing.get_args(annotation)))


def defaults_of(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: to_jsonable_python(field.get_default(call_default_factory=True))
        for name, field in model.model_fields.items()
        if not field.is_required()
    }


def own_plans() -> set[type[Plan]]:
    return {plan for plan in Plan.__subclasses__() if plan.__module__ == Plan.__module__}


@pytest.mark.parametrize(
    "model",
    sorted(set().union(*map(models_in, own_plans())), key=lambda model: model.__name__),
    ids=lambda m: m.__name__,
)
def test_a_default_that_changes_raises_the_version_of_every_plan_that_holds_it(model: type[BaseModel]) -> None:
    found, pinned = defaults_of(model), DEFAULTS.get(model.__name__, {})
    changed = {key: value for key, value in pinned.items() if key not in found or found[key] != value}
    assert not changed, (
        f"{model.__name__}: the default of {', '.join(changed)} changed. A plan leaves defaults out of its "
        "fingerprint, so results of the old default would be believed: raise `version` of every plan that holds this "
        f"model (schemas/plans.py), then pin it here and in VERSIONS: {found}"
    )
    assert found == pinned, f"{model.__name__}: a key with a default is new; no version changes, pin it here: {found}"


def test_the_versions_of_plans_are_those_that_belong_to_these_defaults() -> None:
    assert {plan.__name__: plan.version for plan in own_plans()} == VERSIONS


def test_another_version_of_the_generator_leaves_class_codes_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = train_plan(configuration("scenes"))
    generator = codes.model_copy(update={"train": codes.train.model_copy(update={"perturber": "generator"})})
    before = (codes.fingerprint, generator.fingerprint)
    monkeypatch.setattr(TrainPlan, "generator_version", TrainPlan.generator_version + 1)
    assert codes.fingerprint == before[0]
    assert generator.fingerprint != before[1]
    assert generator.spec.balanced
    assert not codes.spec.balanced


def test_another_version_of_a_countermeasure_leaves_other_victims_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plans_of(configuration("scenes"))["VictimPlan"]
    attacked = plain.model_copy(update={"countermeasure": "adversarial4"})
    before = (plain.fingerprint, attacked.fingerprint)
    monkeypatch.setattr(VictimPlan, "countermeasure_versions", {"adversarial4": 99})
    assert plain.fingerprint == before[0]
    assert attacked.fingerprint != before[1]


def test_another_version_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = plans_of(configuration("scenes"))
    before = {name: plan.fingerprint for name, plan in plans.items()}
    for plan in own_plans():
        monkeypatch.setattr(plan, "version", plan.version + 1)
    assert all(plan.fingerprint != before[name] for name, plan in plans.items())


# --- a new key with a default -----------------------------------------------------------------------------------------


def later(model: type[BaseModel]) -> type[BaseModel]:
    """The same model in a later version of the code: it, and every model that it holds, has one more key."""
    fields: dict[str, Any] = {"novelty": (list[str], Field(default_factory=lambda: ["a"]))}
    for name, field in model.model_fields.items():
        if models_in(field.annotation):
            fields[name] = (later_annotation(field.annotation), ... if field.is_required() else field)
    return create_model(model.__name__, __base__=model, **fields)


def later_annotation(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return later(annotation)
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is Annotated:
        return Annotated[later_annotation(arguments[0]), *arguments[1:]]
    if isinstance(annotation, types.UnionType):
        return functools.reduce(operator.or_, map(later_annotation, arguments))
    if typing.get_origin(annotation) is list:
        return list[later_annotation(arguments[0])]  # type: ignore[misc]
    return annotation


def written(plan: Plan) -> dict[str, Any]:
    """All values of a plan, of a training those that have a part in it."""
    values = plan.model_dump(mode="json")
    if "train" in values:
        values["train"] = builders.settings_with_a_part(values["train"])
    return values


@pytest.mark.parametrize("name", ["minimal", "multifashion", "scenes"])
def test_a_new_key_with_a_default_changes_no_fingerprint(name: str) -> None:
    for plan in plans_of(configuration(name)).values():
        values = written(plan)
        ours, theirs = type(plan).model_validate(values), later(type(plan)).model_validate(values)
        assert theirs.model_dump().keys() - ours.model_dump().keys() == {"novelty"}
        assert ours.fingerprint == plan.fingerprint
        assert isinstance(theirs, Plan)
        assert theirs.fingerprint == plan.fingerprint
        used = later(type(plan)).model_validate({**values, "novelty": ["b"]})
        assert isinstance(used, Plan)
        assert used.fingerprint != plan.fingerprint


def test_a_new_key_inside_a_section_counts_as_soon_as_it_is_used() -> None:
    plan = train_plan(configuration("scenes"))
    values = written(plan)
    used = later(TrainPlan).model_validate({**values, "train": {**values["train"], "novelty": ["b"]}})
    assert isinstance(used, Plan)
    assert used.fingerprint != plan.fingerprint


# --- every value counts -----------------------------------------------------------------------------------------------


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, list):
        return [*value, value[-1]] if value else ["x"]
    if value is None:
        return "x"
    assert isinstance(value, dict), value
    return {**value, "x": "keep"}


def changes(model: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """(place, the model with another value there), for every value in it, however deep."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            for place, changed in changes(value):
                yield f"{name}.{place}", model.model_copy(update={name: changed})
            continue
        yield name, model.model_copy(update={name: another(value)})
        if isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for place, changed in changes(value[0]):
                yield f"{name}.0.{place}", model.model_copy(update={name: [changed, *value[1:]]})
        if isinstance(value, list) and value != value[::-1]:
            yield f"{name} turned", model.model_copy(update={name: value[::-1]})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the other values are none that it knows
@pytest.mark.parametrize("name", ["IngestPlan", "TrainPlan", "GeneratorSpec", "ProtectPlan", "VictimPlan"])
def test_every_value_of_a_plan_is_in_its_fingerprint(name: str) -> None:
    plan = plans_of(configuration("scenes"))[name]
    if isinstance(plan, IngestPlan):
        plan = plan.model_copy(update={"transforms": [Noise(epsilon=8 / 255)]})
    found = {"": plan.fingerprint}
    for place, changed in changes(plan):
        assert isinstance(changed, Plan)
        if place in plan.apart:
            assert changed.fingerprint == plan.fingerprint
            continue
        found[place] = changed.fingerprint
    assert len(found) + len(plan.apart) > len(type(plan).model_fields)
    same = [(one, other) for one, other in combinations(found, 2) if found[one] == found[other]]
    assert not same, f"these make no difference: {same}"


def test_two_plans_of_the_same_values_are_not_the_same_plan() -> None:
    class OtherSpec(GeneratorSpec):
        pass

    spec = train_plan(configuration("scenes")).spec
    assert OtherSpec.model_validate(spec.model_dump()).fingerprint != spec.fingerprint


def test_a_value_that_is_written_out_is_the_default_that_is_left_out() -> None:
    short, long = configuration("minimal"), configuration("minimal")
    values = builders.settings_with_a_part(Train().model_dump(mode="json"))
    long = long.model_copy(update={"train": Train.model_validate(values)})
    assert {name: plan.fingerprint for name, plan in plans_of(long).items()} == {
        name: plan.fingerprint for name, plan in plans_of(short).items()
    }
