"""`mtlue schema`: the JSON schema of `pipeline.yaml`, for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> None:
    """Print the JSON schema of a configuration: an editor then completes keys, explains them and marks typos."""
    print(json.dumps(configuration_schema(), indent=1, ensure_ascii=False))


def configuration_schema() -> dict[str, Any]:
    """The schema of `schemas.config.Config`; each property is described by the text below its field."""
    from schemas.config import Config
    from schemas.model import field_docs
    from schemas.tasks import offered_tasks

    made = {"$schema": DIALECT, **Config.model_json_schema()}
    made["title"] = "mtlue: pipeline.yaml"
    offered = offered_tasks()
    for task in offered:
        _add_kind(made, task)
    for model in [*models_in(Config), *offered]:
        described = made if model is Config else made["$defs"].get(model.__name__)
        if described is None:
            continue
        docs = field_docs(model)
        for name, found in described["properties"].items():
            found["description"] = docs.get(name) or _first_words(model.model_fields[name].annotation)
            found.pop("title", None)
    return made


def _add_kind(made: dict[str, Any], task: type[BaseModel]) -> None:
    """Let the schema know a kind of task that another package offers."""
    own = task.model_json_schema()
    made["$defs"] |= {**own.pop("$defs", {}), task.__name__: own}
    made["properties"]["tasks"]["items"]["oneOf"].append({"$ref": f"#/$defs/{task.__name__}"})


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that an annotation leads to, each once."""
    from pydantic import BaseModel

    waiting, seen = [annotation], set[Any]()
    while waiting:
        found = waiting.pop()
        waiting += get_args(found)
        if isinstance(found, type) and issubclass(found, BaseModel) and found not in seen:
            seen.add(found)
            yield found
            waiting += [field.annotation for field in found.model_fields.values()]


def _first_words(annotation: Any) -> str:
    """What a section is, by the model of its keys."""
    model = next(models_in(annotation), None)
    return "" if model is None or model.__doc__ is None else " ".join(model.__doc__.split("\n\n")[0].split())
